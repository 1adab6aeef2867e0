"""Keys that make a run faster leave its result what it is, to the tolerance that they can have."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from distill_core.data import Loader, TensorData
from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer

BACKENDS = ["eager", "aot_eager", pytest.param(True, marks=pytest.mark.slow)]  # true: inductor, which calls a compiler


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)  # overwrites what a tap on the norm has seen

    def forward(self, x):
        return self.relu(self.norm(self.conv(x)))


def network(width, seed):
    torch.manual_seed(seed)
    return nn.Sequential(Block(width), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 3))


class Hint(nn.Module):
    """A loss with a layer of its own, between taps before an in-place activation."""

    def __init__(self):
        super().__init__()
        self.map = nn.Conv2d(4, 8, 1)
        self.sharpness = 1.0

    def forward(self, student, teacher):
        return self.sharpness * nn.functional.mse_loss(self.map(student), teacher)


class Losses(Callback):
    """Remembers what is logged."""

    def __init__(self):
        self.seen = []

    def on_log(self, trainer, record):
        self.seen.append([record["loss"], *record["losses"].values()])


def run(terms=(), steps=6, **keys):
    """The student's weights and the losses of each step of a small run."""
    torch.manual_seed(0)
    inputs = torch.randn(8 * steps, 3, 6, 6)
    losses = {
        "ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}),
        "hint": Term(loss=Hint(), inputs={"student": "student.0.norm", "teacher": "teacher.0.norm"}, weight=0.5),
    } | dict(terms)
    experiment = Experiment(
        models={"teacher": network(8, 1), "student": network(4, 2)},
        data={"train": Loader(TensorData({"input": inputs, "target": torch.arange(8 * steps) % 3}), 8)},
        stages=[Stage(epochs=1, losses=losses, optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9))],
        log_every=1,
        **keys,
    )
    watch = Losses()
    trainer = Trainer(experiment, callbacks=[watch])
    trainer.fit()
    return trainer.models["student"].state_dict(), torch.tensor(watch.seen)


def assert_same(first, second, **tolerance):
    torch.testing.assert_close(first[1], second[1], **tolerance)
    torch.testing.assert_close(first[0], second[0], **tolerance)


@pytest.fixture
def graphs():
    """Dynamo's counts, from nothing."""
    torch._dynamo.reset()
    counters.clear()
    yield counters
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_is_the_same_and_one_graph(backend, graphs):
    plain, compiled = run(), run(compile=backend)
    assert_same(plain, compiled, rtol=1e-4, atol=1e-5)
    assert plain[1][0, 2] > 0  # the hooks fire, before the activation and in teacher and student
    assert graphs["stats"]["unique_graphs"] == 1  # student, teacher and losses, and nothing in between
    assert not graphs["graph_break"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_schedule_compiles_no_graph_for_each_step(backend, graphs):
    def terms():
        torch.manual_seed(3)
        ramp = Term(
            loss=Hint(),
            inputs={"student": "student.0.norm", "teacher": "teacher.0.norm"},
            weight=lambda progress: 0.1 + 0.4 * progress.progress,
            schedules={"sharpness": lambda progress: 1.0 + progress.progress},
        )
        return {"ramp": ramp}

    plain, compiled = run(terms(), steps=12), run(terms(), steps=12, compile=backend)
    assert_same(plain, compiled, rtol=1e-4, atol=1e-5)
    assert graphs["stats"]["unique_graphs"] == 2  # the second one takes the weight as an input


def test_compiled_with_batches_of_two_sizes(graphs):
    """A last batch that is not full compiles a second time, for any size."""

    def trained(**keys):
        torch.manual_seed(0)
        data = TensorData({"input": torch.randn(20, 3, 6, 6), "target": torch.arange(20) % 3})
        term = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
        stage = Stage(epochs=3, losses={"ce": term}, optimizer=partial(torch.optim.SGD, lr=0.05))
        models = {"student": network(4, 2)}
        Trainer(Experiment(models=models, data={"train": Loader(data, 8)}, stages=[stage], **keys)).fit()
        return models["student"].state_dict()

    torch.testing.assert_close(trained(), trained(compile="eager"), rtol=1e-4, atol=1e-5)
    assert graphs["stats"]["unique_graphs"] == 2


def test_backend_that_does_not_exist(experiment):
    with pytest.raises(TrainingError) as error:
        Trainer(experiment(compile="inducter")).fit()
    assert str(error.value) == "compile: there is no backend 'inducter'\n  hint: did you mean 'inductor'?"


class Layout(Callback):
    def on_stage_start(self, trainer):
        hint = trainer.stage.losses["hint"].loss
        self.weights = [trainer.models[name][0].conv.weight for name in ("student", "teacher")]
        hint.register_forward_pre_hook(self.note, with_kwargs=True)
        self.maps = []

    def note(self, module, args, kwargs):
        self.maps += [tensor.is_contiguous(memory_format=torch.channels_last) for tensor in kwargs.values()]


def test_channels_last_is_the_same():
    watch = Layout()
    fast = run(channels_last=True, callbacks=[watch])
    assert_same(run(), fast, rtol=1e-4, atol=1e-5)
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in watch.weights)
    assert watch.maps == [True] * 12  # from the input on


class Stop(Callback):
    def on_epoch_end(self, trainer):
        if trainer.state.epoch == 2:
            raise InterruptedError


@pytest.mark.parametrize(
    "optimizer", [partial(torch.optim.SGD, lr=0.05, momentum=0.9), partial(torch.optim.Adam, lr=0.01)]
)
def test_channels_last_is_resumed_bit_for_bit(optimizer, tmp_path):
    """A fused optimizer takes the layout of its state for that of the weights."""

    def made():
        torch.manual_seed(0)
        inputs = torch.randn(24, 3, 6, 6)
        ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
        return Experiment(
            models={"student": nn.Sequential(nn.Conv2d(3, 5, 3), network(4, 2)[1:3], nn.Linear(20, 3))},
            data={"train": Loader(TensorData({"input": inputs, "target": torch.arange(24) % 3}), 8)},
            stages=[Stage(epochs=3, losses={"ce": ce}, optimizer=optimizer)],
            callbacks=[Checkpoint()],
            channels_last=True,
        )

    whole, killed, resumed = made(), made(), made()
    Trainer(whole, output=tmp_path / "whole").fit()
    with pytest.raises(InterruptedError):
        Trainer(killed, output=tmp_path / "killed", callbacks=[Stop()]).fit()
    Trainer(resumed, output=tmp_path / "killed").fit(resume=True)
    expected = whole.models["student"].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.models["student"].state_dict().items())


def test_bf16_is_the_same_to_its_precision():
    """Eight bits of mantissa: two to three digits."""
    plain, half = run(), run(precision="bf16")
    assert not torch.equal(plain[1], half[1])
    assert_same(plain, half, rtol=0.05, atol=0.02)
    assert half[0]["0.conv.weight"].dtype == torch.float32


def test_average_leaves_the_run_as_it_is():
    plain, averaged = run(), run(ema={"student": 0.9})
    assert torch.equal(plain[1], averaged[1])
    assert all(torch.equal(plain[0][name], averaged[0][name]) for name in plain[0])


def test_all_together(graphs):
    keys = {"compile": "aot_eager", "channels_last": True, "precision": "bf16", "ema": {"student": 0.9}}
    assert_same(run(), run(**keys), rtol=0.05, atol=0.02)
    assert graphs["stats"]["unique_graphs"] == 1
