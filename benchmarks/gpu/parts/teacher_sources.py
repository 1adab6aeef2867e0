"""The time of a step with a live teacher and with a cached one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import training_loops
from clock import Clock, costs
from jobs import Job, jobs
from part import Part, Rows, Setting

from distill_core.experiment import CacheSettings


def _rows(setting: Setting) -> Rows:
    for name in ("resnet", "bert")[setting.is_tiny :]:
        job, done = jobs(setting)[name](), {}
        with tempfile.TemporaryDirectory() as folder:
            cache = {"teacher": CacheSettings(folder=str(Path(folder) / name), codec="float16", views=1)}
            length = len(next(iter(job.fields.values()))) // job.batch_size
            makers: dict[str, tuple[Callable[[], Clock], dict[str, object]]] = {
                "live": (partial(Clock, setting), {}),
                # The first epoch writes, the second one reads.
                "cached, first run": (
                    partial(Clock, setting, warm_up=length, block=length, blocks=1),
                    {"cache": cache},
                ),
                "cached, next run": (partial(Clock, setting), {"cache": cache}),
            }
            for label, (make_clock, keys) in makers.items():
                yield f"{job.name}: {label}", partial(_measure, job, make_clock, keys, done, setting)


def _measure(
    job: Job, make_clock: Callable[[], Clock], keys: dict[str, object], done: dict[str, float], setting: Setting
) -> Sequence[str]:
    clock = make_clock()
    training_loops.distill(job, clock, setting, in_epochs=True, **keys)
    return costs(clock, done.setdefault("live", clock.seconds))


PART = Part(
    "Live and cached teachers",
    "A step of this project's trainer. The first cached run writes in its first epoch and is measured in its second. Epochs have four\n"
    "batches, so costs at their ends count more than in practice.",
    ("job and teacher", "ms per step", "relative to live", "peak GiB", "loss of the last block"),
    40,
    _rows,
)
