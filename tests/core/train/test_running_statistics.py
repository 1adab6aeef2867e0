"""A note on BatchNorm layers whose running statistics cannot converge within a stage."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from distill_core import losses
from distill_core.data import Loader
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer

CE = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})


@pytest.fixture
def told(caplog):
    """The warnings of a run of 4 samples per batch."""
    caplog.set_level(logging.WARNING, "distill")

    def run(models, terms=None, *, size=12, epochs=2, **stage):
        loader = Loader(TensorDataset(torch.randn(size, 4), torch.arange(size) % 3), 4)
        optimizer = partial(torch.optim.SGD, lr=0.1)
        stages = [Stage(epochs=epochs, optimizer=optimizer, losses=terms or {"ce": CE}, **stage)]
        Trainer(Experiment(models=models, data={"train": loader}, stages=stages)).fit()
        return [record.getMessage() for record in caplog.records]

    return run


def normed(momentum, **settings):
    return {"student": nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=momentum, **settings))}


@pytest.mark.parametrize(("momentum", "batches"), [(0.01, 230), (0.1, 22), (0.3, 7)])
def test_running_statistics_that_cannot_converge_are_told(told, momentum, batches):
    """(1 − m)^6 of the initial statistics remain after 2 epochs of 3 batches."""
    [message] = told(normed(momentum))
    assert f"BatchNorm `student.1` has momentum {momentum:g}: after 6 batches {(1 - momentum) ** 6:.0%}" in message
    assert f"use at least {batches} batches" in message


@pytest.mark.parametrize(
    "settings", [{"momentum": 0.4}, {"momentum": None}, {"momentum": 0.1, "track_running_stats": False}]
)
def test_running_statistics_that_converge_are_not_told(told, settings):
    assert (1 - 0.4) ** 6 < 0.1
    assert told(normed(**settings)) == []


def test_pretrained_and_frozen_statistics_are_not_told(told):
    pretrained, teacher = normed(0.1)["student"], normed(0.1)["student"]
    pretrained[1].running_mean += 1
    kd = Term(loss=losses.KDLoss(), inputs={"student": "student", "teacher": "teacher"})
    assert told({"teacher": teacher, "student": pretrained}, {"kd": kd}, train=["student"]) == []


def test_batches_of_an_accumulated_step_count(told):
    assert told(normed(0.1), size=120, epochs=1, accumulate=2) == []  # 30 batches, 15 steps
