"""Forwards of models that learn end behind the last tap, and the updates are those of complete forwards."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from distill_core.data import Loader, SeedPath, TensorData
from distill_core.errors import WiringError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer

DATA = TensorData(
    {"input": torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0)), "target": torch.arange(12) % 4}
)


class Block(nn.Module):
    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class Tiny(nn.Module):
    """A residual network whose tail has batch norm, dropout, both or neither."""

    def __init__(self, *, norm: bool = False, dropout: bool = False) -> None:
        super().__init__()
        self.stem, self.layer1 = nn.Conv2d(3, 4, 3, padding=1), Block(4, norm=True)
        self.layer2 = Block(4, norm=norm)
        self.dropout = nn.Dropout(0.5 if dropout else 0.0)
        self.fc = nn.Linear(4, 4)
        self.ended = 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.stem(x)))
        x = self.fc(self.dropout(x).mean((2, 3)))
        self.ended += 1
        return x


def experiment(
    student: nn.Module, *, taps: tuple[str, str] = ("teacher.layer1", "student.layer1"), **options
) -> Experiment:
    torch.manual_seed(7)
    compiles = options.pop("compile", None)
    term = Term(loss=nn.MSELoss(), inputs={"target": taps[0], "input": taps[1]})
    stage = Stage(
        epochs=2,
        losses={"hint": term},
        optimizer=lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        **options,
    )
    more = {"compile": compiles} if compiles else {}
    return Experiment(
        models={"teacher": Tiny(), "student": student},
        data={"train": Loader(DATA, 4, shuffle=True)},
        stages=[stage],
        **more,
    )


def complete_loop(made: Experiment, accumulate: int = 1) -> None:
    """Train with plain torch and complete forwards."""
    teacher, student = made.models["teacher"].eval(), made.models["student"].train()
    kept = {}
    for name, model in (("teacher", teacher), ("student", student)):
        model.layer1.register_forward_hook(lambda module, args, out, name=name: kept.update({name: out}))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for epoch in range(2):
        batches = list(made.data["train"].batches(SeedPath(made.seed, 0, epoch)))
        for number, batch in enumerate(batches):
            with torch.no_grad():
                teacher(batch["input"])
            student(batch["input"])
            group = batches[number - number % accumulate :][:accumulate]
            (nn.functional.mse_loss(kept["student"], kept["teacher"]) / len(group)).backward()
            if (number + 1) % accumulate == 0 or number + 1 == len(batches):
                optimizer.step()
                optimizer.zero_grad()


def trained_alike(model: nn.Module, other: nn.Module, *, without: str = "") -> bool:
    one, two = model.state_dict(), other.state_dict()
    return all(torch.equal(one[key], two[key]) for key in one if not (without and without in key))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("tail", [{}, {"norm": True}, {"dropout": True}, {"norm": True, "dropout": True}])
def test_by_default_everything_is_as_in_a_complete_forward(tail, accumulate, tmp_path):
    torch.manual_seed(1)
    student = Tiny(**tail)
    other = copy.deepcopy(student)
    made = experiment(student, accumulate=accumulate)
    looped = experiment(other)
    looped.models["teacher"].load_state_dict(made.models["teacher"].state_dict())
    Trainer(made, output=tmp_path / "run").fit()
    complete_loop(looped, accumulate)
    assert trained_alike(student, other)
    assert student.ended == (6 if tail else 1)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("tail", [{"norm": True}, {"norm": True, "dropout": True}])
def test_with_stop_early_only_the_statistics_behind_stay_as_they_are(tail, accumulate, tmp_path):
    torch.manual_seed(1)
    student = Tiny(**tail)
    other, before = copy.deepcopy(student), copy.deepcopy(student)
    made, looped = experiment(student, accumulate=accumulate, stop_early=True), experiment(other)
    looped.models["teacher"].load_state_dict(made.models["teacher"].state_dict())
    Trainer(made, output=tmp_path / "run").fit()
    complete_loop(looped, accumulate)
    assert trained_alike(student, other, without="layer2.norm")
    assert trained_alike(student.layer2.norm, before.layer2.norm)
    assert student.ended == 1  # the check before the first step


def test_a_run_without_stopping_is_chosen_by_false(tmp_path):
    student = Tiny()
    Trainer(experiment(student, stop_early=False), output=tmp_path / "run").fit()
    assert student.ended == 6


@pytest.mark.parametrize("stop_early", [None, True])
def test_an_output_that_is_read_needs_the_complete_forward(stop_early, tmp_path):
    student = Tiny(norm=True)
    Trainer(experiment(student, taps=("teacher", "student"), stop_early=stop_early), output=tmp_path / "run").fit()
    assert student.ended == 6


class Twice(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.layer1(self.stem(x)).mean())


def test_a_module_that_runs_twice_is_refused(tmp_path):
    with pytest.raises(WiringError, match=r"stages\.0\.stop_early") as error:
        Trainer(experiment(Twice(), stop_early=True), output=tmp_path / "run").fit()
    assert "a module of 'student.layer1' runs several times" in str(error.value)


@pytest.mark.parametrize("stop_early", [None, True])
def test_a_compiled_step_trains_like_a_complete_one(stop_early, tmp_path):
    torch.manual_seed(1)
    student = Tiny(norm=True)
    other, before = copy.deepcopy(student), copy.deepcopy(student)
    made, looped = experiment(student, stop_early=stop_early, compile="eager"), experiment(other)
    looped.models["teacher"].load_state_dict(made.models["teacher"].state_dict())
    Trainer(made, output=tmp_path / "run").fit()
    complete_loop(looped)
    assert trained_alike(student, other, without="layer2.norm")
    assert trained_alike(student.layer2.norm, (before if stop_early else other).layer2.norm)


def test_a_stage_inherits_it(tmp_path):
    first = experiment(Tiny(norm=True), stop_early=True)
    second = Stage(epochs=1)
    student = first.models["student"]
    made = Experiment(models=first.models, data=first.data, stages=[first.stages[0], second])
    Trainer(made, output=tmp_path / "run").fit()
    assert student.ended == 2
