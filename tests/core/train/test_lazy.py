"""Lazy parameters get shapes from a batch that leaves nothing else behind, and values from their name."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from distill_core.cache import hash_tensors
from distill_core.data import Loader, TensorData, preserve_rng_state
from distill_core.errors import WiringError
from distill_core.losses import CRDLoss, FitNetLoss
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer
from distill_core.train._stage import prepare_stage, resolved_stages


class Noisy(nn.Module):
    """Moves and replaces buffers, and draws from every generator, whatever its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("moved", torch.zeros(()))
        self.register_buffer("replaced", torch.zeros(()))
        self.register_buffer("empty", None)

    def forward(self, value):
        self.moved += 1
        self.replaced = self.replaced + 1
        self.empty = value.mean()
        return value + 0 * (torch.rand(()) + random.random() + np.random.rand())


class WithAuxiliary(nn.Module):
    """Has a second output in train mode alone, as GoogLeNet and Inception have."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), Noisy())
        self.fc = nn.Linear(4, 3)
        self.fc.register_buffer("seen", torch.zeros(()))

    def forward(self, value):
        hidden = self.body(value)
        return {"logits": self.fc(hidden), **({"auxiliary": hidden} if self.training else {})}


def teacher() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), Noisy()).train()


def stage(more: dict[str, Term] | None = None, hint: str = "student:out.auxiliary") -> Stage:
    losses = {
        "ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student:out.logits", "target": "batch.target"}),
        "fitnet": Term(loss=FitNetLoss(), inputs={"student": hint, "teacher": "teacher"}),
    }
    return Stage(epochs=2, losses={**(more or {}), **losses}, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9))


def data(count: int = 32) -> Loader:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 6, generator=generator)
    return Loader(TensorData({"input": inputs, "target": inputs[:, :3].argmax(1)}), 8, shuffle=True)


def experiment(*stages: Stage, student: nn.Module | None = None, **options) -> Experiment:
    torch.manual_seed(0)
    models = {"teacher": teacher(), "student": student or WithAuxiliary()}
    return Experiment(models=models, data={"train": data()}, stages=list(stages or [stage()]), **options)


def everything(models) -> dict[str, str]:
    """A hash of all tensors and the number of hooks, by model."""
    return {
        name: hash_tensors({**dict(model.named_parameters()), **dict(model.named_buffers())}.items())
        + str([len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()])
        for name, model in models.items()
    }


def generators() -> list:
    return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]


def prepared(made: Experiment, seed: int = 0):
    first = next(iter(data()))
    return prepare_stage(
        made.models, resolved_stages(made)[0], 0, made.data["train"], lambda: first, torch.device("cpu"), seed=seed
    )


def test_shapes_are_found_in_the_modes_of_the_stage_and_nothing_is_left():
    made = experiment()
    before, chance = everything(made.models), generators()
    run = prepared(made)
    assert [made.models[name].training for name in ("student", "teacher")] == [True, False]
    assert run.distiller.losses.training
    assert generators() == chance
    run.end()
    assert everything(made.models) == before
    assert {name: buffer for name, buffer in made.models["teacher"].named_buffers() if name.endswith("empty")} == {}
    assert run.stage.losses["fitnet"].loss.regressor.weight.shape == (5, 4)


def test_statistics_of_a_lazy_layer_begin_where_those_of_a_given_one_do():
    student = WithAuxiliary()
    student.body = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.ReLU())
    made = experiment(student=student)
    prepared(made).end()
    given = nn.BatchNorm1d(4).state_dict()
    assert {name: value.tolist() for name, value in student.body[1].state_dict().items()} == {
        name: value.tolist() for name, value in given.items()
    }


def weights(made: Experiment, seed: int = 0) -> torch.Tensor:
    prepared(made, seed).end()
    return made.stages[0].losses["fitnet"].loss.regressor.weight.detach().clone()


def test_initial_values_follow_from_seed_and_name():
    alone = weights(experiment())
    torch.manual_seed(77)
    with preserve_rng_state(5):
        assert torch.equal(weights(experiment()), alone)
    crd = CRDLoss(num_samples=32, dim=4, num_negatives=3)
    another = Term(loss=crd, inputs={"student": "student:out.auxiliary", "teacher": "teacher", "index": "batch.index"})
    assert torch.equal(weights(experiment(stage({"crd": another}))), alone)
    assert not torch.equal(weights(experiment(), seed=1), alone)
    two = stage()
    losses = {**two.losses, "hint": Term(loss=FitNetLoss(), inputs=two.losses["fitnet"].inputs)}
    made = experiment(replace(two, losses=losses))
    assert torch.equal(weights(made), alone)
    assert not torch.equal(made.stages[0].losses["hint"].loss.regressor.weight, alone)


class Samples:
    """Samples that draw from every generator as they are read."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        noise = random.random() + np.random.rand()
        return {"input": torch.randn(6) + noise, "target": torch.tensor(index % 3)}


class Drawn(Callback):
    """Keeps the values of the lazy parameters before the first step."""

    def on_stage_start(self, trainer):
        parts = {"student": trainer.models["student"], "loss": trainer.stage.losses["fitnet"].loss}
        self.values = {
            f"{part}.{name}": value.detach().clone()
            for part, module in parts.items()
            for name, value in module.named_parameters()
        }


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_no_initial_value(workers):
    drawn = []
    for number in (0, workers):
        made = lazy_student()
        loader = Loader(Samples(), 8, shuffle=True, num_workers=number)
        callback = Drawn()
        Trainer(replace(made, data={"train": loader}, callbacks=[callback])).fit()
        drawn.append(callback.values)
    assert drawn[0].keys() == drawn[1].keys()
    assert [name for name in drawn[0] if not torch.equal(drawn[0][name], drawn[1][name])] == []


def test_what_no_first_batch_uses_is_refused():
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LazyLinear(2)

        def forward(self, student):
            return student.mean()

    unused = Term(loss=Unused(), inputs={"student": "student:out.logits"})
    with pytest.raises(WiringError) as failure:
        prepared(experiment(stage({"unused": unused})))
    assert str(failure.value) == (
        "stages.0.train: 'losses.unused.layer.weight' is lazy, and no model or loss has used it in a first batch\n"
        "  hint: give its size, or name it with `!` under `train`"
    )


class StopError(Exception):
    pass


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.state.step == self.step:
            raise StopError


def lazy_student() -> Experiment:
    """A student and its average without shapes, and a teacher in train mode whose buffers matter."""
    torch.manual_seed(5)
    student = WithAuxiliary()
    student.body = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Dropout(0.5))
    made = experiment(
        replace(stage(), modes={"teacher": "train"}),
        student=student,
        ema={"student": 0.9},
        callbacks=[Checkpoint(every_steps=1)],
    )
    made.models["teacher"][0] = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 5))
    return made


def states(made: Experiment) -> dict[str, torch.Tensor]:
    parts = {**made.models, "loss": made.stages[0].losses["fitnet"].loss}
    return {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("step", range(2, 9))
def test_a_lazy_model_its_average_and_a_teacher_in_train_mode_resume(step, tmp_path):
    undisturbed, interrupted, resumed = lazy_student(), lazy_student(), lazy_student()
    before = everything({"teacher": undisturbed.models["teacher"]})
    whole = Trainer(undisturbed)
    whole.fit()
    assert everything({"teacher": undisturbed.models["teacher"]}) == before
    with pytest.raises(StopError):
        Trainer(interrupted, output=tmp_path, callbacks=[StopAt(step)]).fit()
    again = Trainer(resumed, output=tmp_path)
    again.fit(resume=True)
    expected, found = states(undisturbed), states(resumed)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    averages = [trainer.models["student_ema"].state_dict() for trainer in (whole, again)]
    assert [name for name in averages[0] if not torch.equal(averages[0][name], averages[1][name])] == []
