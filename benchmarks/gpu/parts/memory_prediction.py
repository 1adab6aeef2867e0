"""The memory of a step as it is predicted and as it is measured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import training_loops
from clock import Clock, gib
from jobs import Job, jobs
from part import Part, Rows, Setting
from torch import nn

from distill_core.errors import TrainingError
from distill_core.preview import predict_memory


def _rows(setting: Setting) -> Rows:
    for name, make in jobs(setting).items():
        job = make()
        for checkpointing in (False, True) if name != "resnet" else (False,):
            label = f"{job.name}, checkpointing" if checkpointing else job.name
            yield label, partial(_measure, job, checkpointing, setting)


def _measure(job: Job, checkpointing: bool, setting: Setting) -> Sequence[str]:
    def prepare(model: nn.Module) -> None:
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]

    clock = Clock(setting, blocks=1)
    training_loops.distill(job, clock, setting, prepare=prepare)
    try:
        expected = predict_memory(training_loops.experiment_of(job, clock, setting, prepare=prepare))[0].total
    except TrainingError:  # a forward that reads values of tensors
        return [gib(clock.peak), "not predicted", "–"]
    return [gib(clock.peak), gib(expected), f"{expected / clock.peak:.3f}" if clock.peak else "–"]


PART = Part(
    "Memory predicted and measured",
    "The largest number of bytes that were allocated at once in steps of this project's trainer.",
    ("job", "measured, GiB", "predicted, GiB", "ratio"),
    35,
    _rows,
)
