"""How a teacher runs: only what is needed of it, in a precision of its own, compiled by itself."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from distill_core.data import Loader, TensorData
from distill_core.errors import TrainingError, WiringError
from distill_core.experiment import SourceSettings
from distill_core.losses import MultiTeacherKDLoss
from distill_core.train import Callback, Experiment, Stage, Term, Trainer


class Block(nn.Module):
    """A network that is not a plain chain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x):
        return self.last(self.second(self.first(x).relu()).relu())


def experiment(teacher: nn.Module | None = None, tap: str = "teacher", count: int = 22, **options) -> Experiment:
    torch.manual_seed(0)
    inputs, usual = torch.randn(count, 6), Block(12)
    models = {"teacher": teacher or usual, "student": nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))}
    kd = Term(
        loss=nn.MSELoss(), inputs={"input": "student" if tap == "teacher" else "student.0", "target": tap}, weight=0.1
    )
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    stage = Stage(epochs=2, losses={"kd": kd, "ce": ce}, optimizer=partial(torch.optim.SGD, lr=0.1))
    data = Loader(TensorData({"input": inputs, "target": inputs[:, :3].argmax(1)}), 8)
    return Experiment(models=models, data={"train": data}, stages=[stage], log_every=1, **options)


class Losses(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_log(self, trainer, record):
        self.seen.append(record["loss"])


def losses(made: Experiment) -> torch.Tensor:
    log = Losses()
    Trainer(made, callbacks=[log]).fit()
    return torch.tensor(log.seen)


def test_the_tail_of_a_chain_is_neither_moved_nor_run():
    """Its tail has no memory on any device: moving it is an error, and so is running it."""
    body = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12, device="meta"))
    chain = nn.Sequential(body, nn.Linear(12, 3, device="meta"))
    found = losses(experiment(chain, "teacher.0.0"))
    assert {name: parameter.device.type for name, parameter in chain.named_parameters()} == {
        "0.0.weight": "cpu", "0.0.bias": "cpu", "0.2.weight": "meta", "0.2.bias": "meta", "1.weight": "meta",
        "1.bias": "meta",
    }  # fmt: skip
    assert torch.equal(found, losses(experiment(nn.Sequential(*body[:1]), "teacher.0")))


@pytest.mark.parametrize(
    "change",
    [
        {"modes": {"teacher": "train"}},
        {"train": ["student", "teacher.0"]},
        {"losses": {"kd": Term(loss=nn.MSELoss(), inputs={"input": "student", "target": "teacher"})}},
    ],
)
def test_a_chain_that_is_needed_whole_is_moved(change):
    made = experiment(nn.Sequential(nn.Linear(6, 12), nn.Linear(12, 3, device="meta")), "teacher.0")
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        losses(replace(made, stages=[replace(made.stages[0], epochs=1), Stage(**change)]))


class Types(Callback):
    """The types of what comes out of modules, and of what a loss is given."""

    def __init__(self, made: Experiment) -> None:
        self.seen: dict[str, torch.dtype] = {}
        for name, model in made.models.items():
            model.get_submodule("first" if name == "teacher" else "0").register_forward_hook(partial(self._note, name))
        made.stages[0].losses["kd"].loss.register_forward_pre_hook(
            lambda _module, _args, kwargs: self.seen.update(loss=kwargs["target"].dtype), with_kwargs=True
        )

    def _note(self, name, _module, _args, output):
        self.seen[name] = output.dtype


@pytest.mark.parametrize(
    ("run", "teacher", "seen"),
    [
        ("fp32", "bf16", {"teacher": torch.bfloat16, "student": torch.float32, "loss": torch.float32}),
        ("bf16", "fp32", {"teacher": torch.float32, "student": torch.bfloat16, "loss": torch.float32}),
        ("bf16", None, {"teacher": torch.bfloat16, "student": torch.bfloat16, "loss": torch.bfloat16}),
    ],
)
def test_a_precision_of_its_own(run, teacher, seen):
    made = experiment(precision=run, sources={"teacher": SourceSettings(precision=teacher)})
    types = Types(made)
    found, plain = losses(made), losses(experiment())
    assert types.seen == seen
    assert not torch.equal(found, plain)
    torch.testing.assert_close(found, plain, rtol=0, atol=0.02)


def test_weights_in_bfloat16_too():
    teacher = experiment().models["teacher"].bfloat16()
    found = losses(experiment(teacher, sources={"teacher": SourceSettings(precision="bf16")}))
    torch.testing.assert_close(found, losses(experiment()), rtol=0, atol=0.02)


@pytest.mark.parametrize("expert", [0, 1])
def test_samples_routed_to_their_teacher_by_a_field_of_the_batch(expert):
    """If all go to one, the run is that with it alone; if they are spread, it is neither."""

    def routed(teachers, index):
        made = experiment()
        data = made.data["train"].dataset
        data.tensors["expert"] = index
        inputs = {"student": "student", "teacher": teachers, "index": "batch.expert"}
        terms = {"kd": Term(loss=MultiTeacherKDLoss(1.0), inputs=inputs)}
        torch.manual_seed(1)
        models = {"teacher_a": Block(8), "teacher_b": Block(8), "student": made.models["student"]}
        return losses(replace(made, models=models, stages=[replace(made.stages[0], losses=terms)]))

    both, one = ["teacher_a", "teacher_b"], ["teacher_a", "teacher_b"][expert]
    alone = routed([one], torch.zeros(22, dtype=torch.long))
    assert torch.equal(routed(both, torch.full((22,), expert)), alone)
    assert not torch.allclose(routed(both, torch.arange(22) % 2), alone)


@pytest.fixture
def graphs():
    torch.compiler.reset()
    counters.clear()
    yield counters
    torch.compiler.reset()


@pytest.mark.parametrize("precision", [None, "bf16"])
def test_compiled_alone(graphs, precision):
    """One graph for whole batches, and one to see that the last, small one may be filled up; none of the student."""
    settings = SourceSettings(compile="aot_eager", precision=precision)
    found = losses(experiment(sources={"teacher": settings}))
    assert graphs["stats"]["unique_graphs"] == 2
    assert graphs["graph_break"] == {}
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if precision is None else {"rtol": 0, "atol": 0.02}
    torch.testing.assert_close(found, losses(experiment()), **tolerance)


def test_what_nobody_reads_is_not_in_the_compiled_graph(graphs):
    """The compiler's own early stop, of a model that is not a plain chain."""
    seen = []

    def count(graph, inputs):
        seen.append(sum("mm" in str(node.target) for node in graph.graph.nodes))
        return graph.forward

    backend = torch._dynamo.backends.common.aot_autograd(fw_compiler=count, inference_compiler=count)
    torch._dynamo.register_backend(backend, name="counts_products")
    try:
        settings = {"teacher": SourceSettings(compile="counts_products")}
        found = losses(experiment(tap="teacher.first", count=24, sources=settings))
    finally:
        del torch._dynamo.backends.registry._BACKENDS["counts_products"]
        torch._dynamo.backends.registry._COMPILER_FNS.pop("counts_products", None)
    assert seen == [1]
    torch.testing.assert_close(found, losses(experiment(tap="teacher.first", count=24)))


def test_mistakes_are_named():
    with pytest.raises(WiringError) as wrong:
        Trainer(experiment(sources={"techer": SourceSettings()}))
    assert str(wrong.value) == "sources: there is no model 'techer'\n  hint: did you mean 'teacher'?"
    with pytest.raises(TrainingError) as failure:
        losses(experiment(sources={"teacher": SourceSettings(compile="inducter")}))
    assert str(failure.value) == (
        "sources.teacher.compile: there is no backend 'inducter'\n  hint: did you mean 'inductor'?"
    )
