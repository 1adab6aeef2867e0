"""Schedules of a stage: weights, numbers of losses, and modules that want to know the moment."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.errors import TrainingError, WiringError
from distill_core.experiment import Experiment, Stage, StageProgress, Term
from distill_core.losses import CTKDLoss, KDLoss
from distill_core.schedules import Linear
from distill_core.train import Trainer
from distill_core.train.step._schedules import Schedules

INPUTS = {"student": "student", "teacher": "teacher"}


def at(step):
    return StageProgress(stage=0, step=step, steps=8, epochs=4)


def test_weights_and_numbers_of_losses_follow_their_schedules():
    loss = KDLoss(temperature=4.0)
    term = Term(
        loss=loss, inputs=INPUTS, weight=Linear(start=0, end=8), schedules={"temperature": Linear(start=9, end=1)}
    )
    schedules = Schedules({"kd": term, "ce": Term(loss=nn.MSELoss(), inputs={}, weight=0.5)})
    assert schedules.at(at(2)) == {"kd": 2.0, "ce": 0.5}
    assert loss.temperature == 7.0


@pytest.mark.parametrize("weight", [-0.5, float("nan"), float("inf"), None, np.float32(-1)])
def test_a_weight_that_is_not_a_number_of_at_least_zero_is_refused_at_its_first_step(weight):
    def falling(progress):
        return 1.0 if progress.step < 3 else weight

    schedules = Schedules({"kd": Term(loss=KDLoss(), inputs=INPUTS, weight=falling)})
    assert schedules.at(at(2)) == {"kd": 1.0}
    with pytest.raises(TrainingError) as raised:
        schedules.at(at(3))
    assert str(raised.value) == (
        f"losses.kd.weight: falling must return a finite number >= 0, got {weight!r} at step 3"
    )


def test_a_weight_on_a_device_is_not_read():
    weight = torch.tensor(-1.0, device="meta")
    assert (
        Schedules({"kd": Term(loss=KDLoss(), inputs=INPUTS, weight=lambda progress: weight)}).at(at(0))["kd"] is weight
    )


def test_a_module_inside_a_loss_is_told_the_moment():
    loss = CTKDLoss(strength=Linear(start=0.0, end=1.0, until=2))
    schedules = Schedules({"kd": Term(loss=loss, inputs=INPUTS)})
    schedules.at(at(1))
    assert loss.reversal.strength.item() == 0.25


@pytest.mark.parametrize(
    ("attribute", "hint"), [("temprature", "did you mean 'temperature'?"), ("reduction", "choose from 'temperature'")]
)
def test_a_number_that_the_loss_does_not_have_is_refused(attribute, hint):
    term = Term(loss=KDLoss(), inputs=INPUTS, schedules={attribute: Linear(start=1, end=0)})
    with pytest.raises(WiringError) as raised:
        Schedules({"kd": term})
    assert str(raised.value) == f"losses.kd.schedules: KDLoss has no number '{attribute}'\n  hint: {hint}"


def test_a_run_sets_them_at_each_step():
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = 0.0

        def forward(self, student):
            seen.append(self.scale)
            return student.square().mean()

    data = Loader(TensorData({"input": torch.randn(4, 2), "target": torch.zeros(4)}), 2)
    term = Term(loss=Watched(), inputs={"student": "student"}, schedules={"scale": Linear(start=0.0, end=4.0)})
    stage = Stage(epochs=2, optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1), losses={"watched": term})
    Trainer(Experiment(models={"student": nn.Linear(2, 2)}, data={"train": data}, stages=[stage])).fit()
    assert seen == [0.0, 1.0, 2.0, 3.0]
