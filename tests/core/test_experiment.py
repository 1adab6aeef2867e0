from __future__ import annotations

from distill_core.experiment import FIRST_STAGE, INHERIT, Stage, StageProgress


def test_left_out_is_inherited_and_none_clears():
    first = Stage(epochs=3, losses={}, optimizer=len, scheduler=max, clip_grad_norm=1.0).after(FIRST_STAGE)
    second = Stage(epochs=1, scheduler=None).after(first)
    assert (second.epochs, second.optimizer, second.scheduler, second.clip_grad_norm) == (1, len, None, 1.0)
    assert (first.accumulate, first.scheduler_step, first.train) == (1, None, None)
    assert Stage(epochs=1).after(FIRST_STAGE).optimizer is INHERIT


def test_moment():
    progress = StageProgress(stage=1, step=30, steps=120, epochs=6)
    assert (progress.progress, progress.epoch) == (0.25, 1.5)
