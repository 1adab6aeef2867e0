"""Classes of −∞ in a run: named in the first step on every device, hinted at afterwards."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.errors import DataError, TrainingError
from distill_core.layers._ruled_out import _every_device
from distill_core.losses import KDLoss
from distill_core.train import Stage, Term, Trainer

SGD = partial(torch.optim.SGD, lr=0.01)


class Masked(nn.Linear):
    """A classifier that rules one class out."""

    def forward(self, features):
        return super().forward(features).index_fill(1, torch.tensor([2]), -torch.inf)


def run(experiment, models, loss, inputs):
    data = Loader(TensorData({"input": torch.randn(8, 6)}), 2)
    stage = Stage(epochs=1, losses={"kd": Term(loss=loss, inputs=inputs)}, optimizer=SGD)
    Trainer(experiment(models=models, data={"train": data}, stages=[stage], callbacks=(), log_every=1)).fit()


def test_a_student_that_rules_out_too_much_is_told_so(experiment):
    models = {"student": Masked(6, 4), "teacher": nn.Linear(6, 4)}
    with pytest.raises(DataError, match="class 2 is −∞ in `student` but not in `teacher`"):
        run(experiment, models, KDLoss(), {"student": "student", "teacher": "teacher"})


def test_both_may_rule_out_the_same(experiment):
    models = {"student": Masked(6, 4), "teacher": Masked(6, 4)}
    run(experiment, models, KDLoss(), {"student": "student", "teacher": "teacher"})
    assert models["student"].weight.isfinite().all()


def test_only_the_first_step_makes_the_host_wait(experiment):
    asked = []

    def loss(student):
        asked.append(_every_device.get())
        return student.square().mean()

    run(experiment, {"student": nn.Linear(6, 4)}, loss, {"student": "student"})
    assert asked == [True, False, False, False]


def test_an_infinite_term_of_a_later_step_is_named_with_a_hint(experiment):
    calls = []

    def loss(student):
        calls.append(1)
        return student.square().mean() + (torch.inf if len(calls) == 3 else 0)

    message = "kd is infinite: where logits hold −∞, rule out the same classes in student and teacher"
    with pytest.raises(TrainingError, match=message):
        run(experiment, {"student": nn.Linear(6, 4)}, loss, {"student": "student"})
