"""Learning rate schedulers in the trainer: by step, by plateau, with the length of the stage."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from distill_core.train import Callback, Stage, Trainer

from .state_dicts import copy_of


def test_scheduler_by_step_and_clipping(experiment):
    base = experiment().stages[0]
    stage = Stage(
        epochs=1,
        scheduler=partial(torch.optim.lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.5),
        scheduler_step="step",
        clip_grad_norm=1e-12,
    ).after(base)
    run = experiment(stages=[stage], callbacks=())
    before = copy_of(run.models["student"])
    trainer = Trainer(run)
    lrs = []

    class Watch(Callback):
        def on_log(self, trainer, record):
            lrs.append(record["lr"])

    trainer.callbacks.append(Watch())
    trainer.fit()
    assert lrs[-1] < lrs[0] < 0.1
    torch.testing.assert_close(before["0.weight"], run.models["student"][0].weight, atol=1e-10, rtol=0)


def test_plateau_scheduler_sees_the_mean_loss_of_the_epoch(experiment):
    seen = []

    class Plateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            seen.append(metrics)
            super().step(metrics)

    records = []

    class Watch(Callback):
        def on_log(self, trainer, record):
            records.append(record)

    stage = Stage(scheduler=partial(Plateau, patience=0)).after(experiment().stages[0])
    Trainer(experiment(stages=[stage], callbacks=[Watch()])).fit()
    first = [record for record in records if record["epoch"] == 1]
    sizes = [16, 16, 16, 2]
    assert seen[0] == pytest.approx(sum(r["loss"] * n for r, n in zip(first, sizes, strict=True)) / 50)


@pytest.mark.parametrize("name", ["num_training_steps", "T_max"])
def test_scheduler_is_told_how_long_the_stage_is(experiment, name):
    told = {}

    def linear(optimizer, **lengths):
        told.update(lengths)
        return torch.optim.lr_scheduler.ConstantLR(optimizer)

    source = f"def make(optimizer, {name}): return linear(optimizer, {name}={name})"
    scope = {"linear": linear}
    exec(source, scope)
    for unit in ("step", "epoch"):
        stage = Stage(scheduler=scope["make"], scheduler_step=unit).after(experiment().stages[0])
        Trainer(experiment(stages=[stage], callbacks=())).fit()
        assert told == {name: 14 if unit == "step" else 2}
