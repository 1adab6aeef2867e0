"""The time of a step beside a plain loop and accelerate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import training_loops
from clock import Clock, gib
from jobs import Job, jobs
from part import Part, Rows, Setting

_TOLERANCE = 0.02  # of the loss: the loops cast to bfloat16 at other points


def _rows(setting: Setting) -> Rows:
    for make in jobs(setting).values():
        job, done = make(), {}
        for name in training_loops.LOOPS:
            yield f"{job.name}: {name}", partial(_measure, job, name, done, setting)


def _measure(job: Job, name: str, done: dict[str, Clock], setting: Setting) -> Sequence[str]:
    clock = Clock(setting)
    training_loops.LOOPS[name](job, clock, setting)
    done[name] = clock
    base = done.get("plain")
    ratio = f"{clock.seconds / base.seconds:.3f}" if base else "–"
    differs = base is not None and abs(clock.loss - base.loss) > _TOLERANCE * abs(base.loss)
    loss = f"{clock.loss:.4g}" + (" (differs from the plain loop's)" if differs else "")
    return [f"{clock.seconds * 1e3:.2f}", ratio, gib(clock.peak), loss]


PART = Part(
    "Overhead of a step",
    "A student from a teacher of the same architecture in bfloat16 mixed precision, with fused AdamW in all loops. The time is that of the\n"
    "wall clock, the median over blocks of steps between which the host waits for the GPU.",
    ("job and loop", "ms per step", "relative to plain", "peak GiB", "loss of the last block"),
    110,
    _rows,
)
