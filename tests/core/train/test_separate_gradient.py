"""Terms whose gradient reaches the optimizer separately."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.errors import TrainingError, WiringError
from distill_core.optim import DOT, SplitOptimizer
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer
from distill_core.train.step._update import clip_sum

SGD = partial(torch.optim.SGD, lr=0.3, momentum=0.9, weight_decay=0.01)


class Hint(nn.Module):
    """Learns itself: its tensors get no gradient of the task."""

    reduction_scope = "sample"

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(5, 12)

    def forward(self, student, teacher):
        return nn.functional.mse_loss(self.map(student), teacher)


def data(count=22, poison=None):
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    if poison is not None:
        inputs[poison] = float("nan")
    return TensorData({"input": inputs, "target": (inputs[:, 0] > 0).long()})


def experiment(optimizer, *, separate=True, poison=None, stage=None, **options):
    torch.manual_seed(0)
    models = {
        "teacher": nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)),
        "student": nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)),
    }
    losses = {
        "ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}),
        "hint": Term(
            loss=Hint(), inputs={"student": "student.1", "teacher": "teacher.1"}, weight=2.0, separate_gradient=separate
        ),
        "kd": Term(
            loss=nn.MSELoss(), inputs={"input": "student", "target": "teacher"}, weight=0.5, separate_gradient=separate
        ),
    }
    whole = Stage(epochs=2, losses=losses, optimizer=optimizer, **(stage or {}))
    train = Loader(data(poison=poison), 4, shuffle=True)
    return Experiment(models=models, data={"train": train}, stages=[whole], **options)


def weights(run, **options):
    Trainer(run, **options).fit()
    return {
        **run.models["student"].state_dict(),
        **{f"hint.{name}": value for name, value in run.stages[0].losses["hint"].loss.state_dict().items()},
    }


def dot(delta, **options):
    return partial(DOT, lr=0.3, momentum=0.9, weight_decay=0.01, delta=delta, **options)


def assert_same(first, second, **tolerances):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], msg=name, **tolerances)


STAGES = [{}, {"accumulate": 3}, {"clip_grad_norm": 0.3}, {"accumulate": 2, "clip_grad_norm": 0.2}]


@pytest.mark.parametrize("stage", STAGES)
def test_without_delta_a_run_is_that_of_sgd(stage):
    """Terms together, accumulation with a smaller last batch, clipping to the norm of the sum."""
    split, plain = experiment(dot(0.0), stage=stage), experiment(SGD, separate=False, stage=stage)
    assert_same(weights(split), weights(plain), rtol=1e-4, atol=1e-6)
    assert any(
        not torch.allclose(first, second)
        for first, second in zip(
            weights(experiment(dot(0.05), stage=stage)).values(), weights(plain).values(), strict=True
        )
    )


def test_gradients_of_the_task_and_of_the_rest_arrive_where_they_belong():
    """Two windows of two batches, followed by hand."""
    seen = []

    class Watch(SplitOptimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.0})

        def step(self, closure=None):
            seen.append(
                [(p.grad, self.separate_gradients.get(p)) for group in self.param_groups for p in group["params"]]
            )

    run = experiment(Watch, stage={"accumulate": 2})
    run = replace(run, data={"train": Loader(data(8), 2)}, stages=[replace(run.stages[0], epochs=1)])
    Trainer(run).fit()
    assert len(seen) == 2
    losses, teacher, student = run.stages[0].losses, run.models["teacher"], run.models["student"]
    parameters = [*student.parameters(), *losses["hint"].loss.parameters()]
    for window, found in enumerate(seen):
        rows = [data(8)[number] for number in range(4 * window, 4 * window + 4)]
        inputs, target = torch.stack([row["input"] for row in rows]), torch.stack([row["target"] for row in rows])
        output, goal = student(inputs), teacher(inputs)
        task = nn.functional.cross_entropy(output, target)
        kd = 2 * losses["hint"].loss(student[1](student[0](inputs)), teacher[1](teacher[0](inputs)))
        kd = kd + 0.5 * nn.functional.mse_loss(output, goal)
        for part, total in enumerate((task, kd)):
            expected = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
            for mine, hand in zip(found, expected, strict=True):
                assert (mine[part] is None) == (hand is None)
                if hand is not None:
                    torch.testing.assert_close(mine[part], hand)


def test_the_objective_is_logged_whole():
    class Log(Callback):
        def __init__(self):
            self.records = []

        def on_log(self, trainer, record):
            self.records.append(record)

    log = Log()
    Trainer(experiment(dot(0.05), log_every=1), callbacks=[log]).fit()
    for record in log.records:
        losses = record["losses"]
        assert record["loss"] == pytest.approx(losses["ce"] + 2 * losses["hint"] + 0.5 * losses["kd"], rel=1e-4)


def test_nobody_is_said_to_learn_nothing(caplog):
    """The tensors of a loss with a separate gradient have a gradient there."""
    Trainer(experiment(dot(0.05))).fit()
    assert caplog.messages == []


def test_clip_sum():
    """Gradients of one, of the other and of both."""
    first, second, third = (nn.Parameter(torch.zeros(1)) for _ in range(3))
    first.grad, second.grad = torch.tensor([1.0]), torch.tensor([3.0])
    separate = {second: torch.tensor([-1.0]), third: torch.tensor([2.0])}
    clip_sum([first, second, third], separate, 6.0)
    assert second.grad.item() == 3
    clip_sum([first, second, third], separate, 1.0)  # the norm of (1, 2, 2) is 3
    found = [first.grad, second.grad, separate[second], separate[third]]
    torch.testing.assert_close(torch.cat(found) * 3, torch.tensor([1.0, 3.0, -1.0, 2.0]), rtol=1e-4, atol=1e-4)


def test_a_gradient_that_is_not_finite_is_withheld_whichever_it_is():
    for broken in ("ce", "kd"):
        run = experiment(dot(0.05), nonfinite="skip", max_nonfinite=2, log_every=1)
        terms = dict(run.stages[0].losses)

        def root(student, teacher):
            return ((student - teacher) * (teacher[:, :1] * 0)).abs().sqrt().mean()  # 0, with a gradient that is not

        inputs = {"student": "student", "teacher": "teacher"}
        terms["root"] = Term(loss=root, inputs=inputs, separate_gradient=broken == "kd")
        run = replace(run, stages=[replace(run.stages[0], losses=terms)])
        before = {name: value.clone() for name, value in run.models["student"].state_dict().items()}
        with pytest.raises(TrainingError, match=r"the gradients or buffers are not finite; the update was withheld"):
            Trainer(run).fit()
        assert_same(run.models["student"].state_dict(), before, rtol=0, atol=0)


def test_one_bad_sample_is_skipped_and_leaves_no_trace():
    run = experiment(dot(0.05), poison=7, nonfinite="skip", log_every=1)
    trained = weights(run)
    assert all(value.isfinite().all() for value in trained.values())


class Stopped(Exception):  # noqa: N818
    pass


class StopAt(Callback):
    def on_step_end(self, trainer):
        if trainer.state.step == 3:
            raise Stopped


def test_resumed_bit_for_bit(tmp_path):
    """With an average, accumulation, and a checkpoint within an epoch."""
    options = {"ema": {"student": 0.9}, "callbacks": [Checkpoint(every_steps=1)], "stage": {"accumulate": 2}}
    whole = experiment(dot(0.05), **options)
    expected = weights(whole, output=tmp_path / "whole")
    with pytest.raises(Stopped):
        Trainer(experiment(dot(0.05), **options), output=tmp_path / "cut", callbacks=[StopAt()]).fit()
    run = experiment(dot(0.05), **options)
    trainer = Trainer(run, output=tmp_path / "cut")
    trainer.fit(resume=True)
    assert_same(run.models["student"].state_dict(), whole.models["student"].state_dict(), rtol=0, atol=0)
    averages = [tmp_path / folder / "student_ema.safetensors" for folder in ("whole", "cut")]
    assert averages[0].read_bytes() == averages[1].read_bytes()
    assert expected


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param(True, marks=pytest.mark.slow)])
def test_compiled_is_the_same(backend):
    split = partial(experiment, dot(0.05), stage={"accumulate": 2})
    assert_same(weights(split(compile=backend)), weights(split()), rtol=1e-4, atol=1e-5)


def test_bf16_trains():
    trained = weights(experiment(dot(0.05), precision="bf16"))
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in trained.values())


def test_a_later_stage_without_distillation():
    run = experiment(dot(0.05))
    alone = {"ce": run.stages[0].losses["ce"]}
    Trainer(replace(run, stages=[*run.stages, Stage(epochs=1, losses=alone, optimizer=SGD)])).fit()


HINT = "\n  hint: "


def test_what_has_one_gradient_only_is_refused():
    with pytest.raises(TrainingError) as error:
        Trainer(experiment(dot(0.05), precision="fp16"))
    assert str(error.value) == (
        f"stages.0.losses.hint: `separate_gradient: true` keeps two gradients, which fp16 loss scaling does not support{HINT}precision: bf16"
    )
    with pytest.raises(TrainingError) as error:
        Trainer(experiment(dot(0.05), parallel="fsdp"))
    assert str(error.value) == (
        f"stages.0.losses.hint: `separate_gradient: true` keeps two gradients, which fsdp does not support{HINT}parallel: ddp"
    )


def refused(run):
    with pytest.raises(WiringError) as error:
        Trainer(run).fit()
    return str(error.value)


def test_an_optimizer_that_does_not_fit_is_refused():
    assert refused(experiment(SGD)) == (
        f"stages.0.losses.hint: its gradient is separate, but SGD takes a single gradient{HINT}distill_core.optim.DOT takes two"
    )
    assert refused(experiment(dot(0.05), separate=False)) == (
        "stages.0.optimizer: DOT takes two gradients, but no loss has a separate one"
        f"{HINT}set `separate_gradient: true` for the distillation losses"
    )
    run = experiment(dot(0.05))
    terms = {name: term for name, term in run.stages[0].losses.items() if name != "ce"}
    assert refused(replace(run, stages=[replace(run.stages[0], losses=terms)])) == (
        f"stages.0.losses: every gradient is separate, so the task has none{HINT}omit `separate_gradient` of the task's loss"
    )
