"""The learning rate falls as torch's scheduler would let it on the measured metric, killed or not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, Evaluate, Metric, ReduceLROnPlateau, Stage, Trainer

from ..killing import KillAt, KillError
from .test_early_stopping import Scripted

VALUES = [0, 1, 2, 2, 2, 3, 3, 3, 3, 3]


class Rates(Callback):
    """The learning rate after each epoch."""

    def __init__(self):
        self.seen = {}

    def on_epoch_end(self, run):
        self.seen[run.state.epoch] = run.optimizer.param_groups[0]["lr"]


def make(experiment, *, scheduler=None, metric="score", **options):
    scripted, rates = Scripted(VALUES), Rates()
    stage = Stage(epochs=len(VALUES) - 1, scheduler=scheduler).after(experiment().stages[0])
    metrics = {"score": Metric(metric=scripted, inputs={"preds": "student"})}
    plateau = ReduceLROnPlateau(metric, factor=0.5, patience=1, **options)
    callbacks = [scripted, Evaluate(experiment().data["val"], metrics), plateau, rates, Checkpoint()]
    return experiment(stages=[stage], callbacks=callbacks, batch_size=50), rates


def expected(**options) -> dict[int, float]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=1, **options)
    rates = {}
    for epoch, value in enumerate(VALUES[1:], start=1):
        scheduler.step(value)
        rates[epoch] = optimizer.param_groups[0]["lr"]
    return rates


@pytest.mark.parametrize("options", [{}, {"cooldown": 1}, {"min_lr": 0.05}, {"threshold": 0.9}])
def test_the_rates_are_those_of_torch(experiment, options):
    made, rates = make(experiment, **options)
    Trainer(made).fit()
    assert rates.seen == pytest.approx(expected(**options))
    assert len(set(rates.seen.values())) > 1


def test_a_killed_run_resumes_with_the_counts(experiment, tmp_path):
    made, _ = make(experiment)
    with pytest.raises(KillError):
        Trainer(replace(made, callbacks=[*made.callbacks, KillAt(4)]), output=tmp_path).fit()
    again, rates = make(experiment)
    Trainer(again, output=tmp_path).fit(resume=True, change=True)
    whole = expected()
    assert rates.seen == pytest.approx({epoch: whole[epoch] for epoch in rates.seen})
    assert 4 < len(rates.seen) < 9


def test_what_does_not_fit_is_refused(experiment):
    step = partial(torch.optim.lr_scheduler.StepLR, step_size=1)
    with pytest.raises(TrainingError, match="stage 0 has a `scheduler`, which sets the learning rate as well"):
        Trainer(make(experiment, scheduler=step)[0]).fit()
    with pytest.raises(TrainingError, match=r"nothing measures 'scores' on 'val'\n  hint: did you mean 'score'"):
        Trainer(make(experiment, metric="scores")[0]).fit()
    with pytest.raises(TrainingError, match="`factor` must be below 1, got 2"):
        ReduceLROnPlateau("score", factor=2.0)
