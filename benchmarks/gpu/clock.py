"""The time and memory of training steps."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import torch
from part import Setting


class Clock:
    """Measures blocks of steps. The host waits for the device only between blocks.

    Args:
        setting: Device and size.
        warm_up: Number of steps before the first block.
        block: Number of steps per block.
        blocks: Number of blocks.

    Attributes:
        num_steps: Number of steps of the loop that is measured.
        loss: The mean loss of the last block, which the loop sets.
    """

    def __init__(self, setting: Setting, *, warm_up: int = 0, block: int = 0, blocks: int = 0) -> None:
        self._device = setting.torch_device
        self.block = block or (2 if setting.is_tiny else 10)
        self.warm_up = warm_up or self.block
        self.num_steps = self.warm_up + self.block * (blocks or (1 if setting.is_tiny else 5))
        self.loss = 0.0
        self._step = 0
        self._times: list[float] = []
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def tick(self) -> None:
        """Note that a step has ended."""
        self._step += 1
        if self._step >= self.warm_up and (self._step - self.warm_up) % self.block == 0:
            synchronise(self._device)
            self._times.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """The time of a step, the median over the blocks."""
        blocks = [later - before for before, later in zip(self._times, self._times[1:], strict=False)]
        return statistics.median(blocks) / self.block

    @property
    def peak(self) -> int:
        """The largest number of bytes that were allocated at once; 0 on a CPU."""
        return torch.cuda.max_memory_allocated() if self._device.type == "cuda" else 0


def costs(clock: Clock, reference: float) -> list[str]:
    """Return the columns of a loop: ms per step, relative to a reference in seconds, peak and loss."""
    return [f"{clock.seconds * 1e3:.2f}", f"{clock.seconds / reference:.3f}", gib(clock.peak), f"{clock.loss:.4g}"]


def time_and_peak(step: Callable[[], None], setting: Setting) -> tuple[float, int]:
    """Return the median seconds of a call, and the bytes that it allocates beyond those held before it."""
    device, times = setting.torch_device, []
    before, peak = 0, 0
    for _ in range(2 if setting.is_tiny else 12):
        synchronise(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        start = time.perf_counter()
        step()
        synchronise(device)
        times.append(time.perf_counter() - start)
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated() - before
    return statistics.median(times[len(times) // 4 :]), peak


def synchronise(device: torch.device) -> None:
    """Wait until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def gib(size: int) -> str:
    """Return a number of bytes in GiB; a dash for 0."""
    return f"{size / 2**30:.2f}" if size else "–"
