"""The number of times that the host waits for the GPU between log lines, as the profiler counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import training_loops
from clock import Clock
from jobs import Job, jobs
from part import Part, Rows, Setting
from torch.profiler import ProfilerActivity, profile, record_function

from distill_core.train import Callback

_BEGIN, _END = "steps begin", "steps end"
# Reading a number is what synchronises on a GPU, so a trial on a CPU counts the reads.
_WAITS = {
    "cuda": ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy"),
    "cpu": ("aten::_local_scalar_dense",),
}


class Profiled(Callback):
    """Profiles the steps after one log line and before the next.

    Args:
        setting: Device and size.
        first: The step after which the profile begins.
        last: The step after which it ends.
    """

    def __init__(self, setting: Setting, first: int, last: int) -> None:
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if setting.device == "cuda" else [])
        self.profile = profile(activities=activities)
        self.first, self.last = first, last
        self._names = _WAITS[setting.device]

    def on_step_end(self, run: Any) -> None:
        """Start or stop the profile."""
        if run.state.step == self.first:
            self.profile.start()
            with record_function(_BEGIN):
                pass
        elif run.state.step == self.last:
            with record_function(_END):
                pass
            self.profile.stop()  # which waits for the GPU itself

    def waits(self) -> Counter[str]:
        """Return the number of waits by the function that waits."""
        events = self.profile.events() or []
        begin, end = (next(e.time_range.start for e in events if e.name == name) for name in (_BEGIN, _END))
        between = [e for e in events if e.name in self._names and begin < e.time_range.start < end]
        return Counter(event.name for event in between if not _is_of_optimizer(event))


def _is_of_optimizer(event: Any) -> bool:
    """Return whether a fused optimizer reads its own step, as it does on a CPU."""
    while event is not None:
        if event.name.startswith("aten::_fused_"):
            return True
        event = event.cpu_parent
    return False


def _rows(setting: Setting) -> Rows:
    for make in jobs(setting).values():
        job = make()
        yield job.name, partial(_measure, job, setting)


def _measure(job: Job, setting: Setting) -> Sequence[str]:
    clock = Clock(setting, block=4 if setting.is_tiny else 10, blocks=1)
    profiled = Profiled(setting, clock.warm_up, clock.num_steps - 1)
    training_loops.distill(job, clock, setting, callbacks=(profiled,))
    waits = profiled.waits()
    names = ", ".join(f"{name} {count}" for name, count in waits.items())
    return [str(profiled.last - profiled.first), str(sum(waits.values())), names or "–"]


PART = Part(
    "Waits of the host",
    "The number of times that the host waits for the GPU in the steps between two log lines of this project's trainer, counted by torch's\n"
    "profiler. The aim is 0. Copies of batches are asynchronous and not counted.",
    ("job", "steps", "waits", "of which"),
    45,
    _rows,
)
