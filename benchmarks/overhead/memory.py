"""Peak memory of a few steps, measured in a separate process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from lanes import Loop
from works import Work

_STEPS = 4


class _Over(BaseException):
    """Ends the loop after enough steps."""


def peak(make_work: Callable[[], Work], make_loop: Callable[[Work], Loop]) -> tuple[float, float]:
    """Return the peak memory in MiB beyond that of the new models: of all steps, and from the third step on.

    The loop runs twice, and the second run is measured: in the first one torch and the libraries import modules and load
    kernels, which takes more memory than a step of a small model.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    # A fork, so that nothing is imported again; no thread has been started yet.
    process = multiprocessing.get_context("fork").Process(target=_measure, args=(make_work, make_loop, sender))
    process.start()
    sender.close()
    value: tuple[float, float] = receiver.recv()
    process.join()
    return value


def peak_of(step: Callable[[], None]) -> float:
    """Return the peak memory in MiB of one call in this process, beyond what it holds before."""
    before = _status("VmRSS")
    _forget_peak()
    step()
    return (_status("VmHWM") - before) / 1024


def _measure(make_work: Callable[[], Work], make_loop: Callable[[Work], Loop], answer: Connection) -> None:
    _run(make_loop(make_work()))
    loop = make_loop(make_work())
    _release()
    before = _status("VmRSS")
    _forget_peak()
    first, later = _run(loop)
    answer.send(((max(first, later) - before) / 1024, (later - before) / 1024))


def _run(loop: Loop) -> tuple[int, int]:
    """Run a few steps; return the peak memory in KiB of the first two and of the others."""
    steps, first = 0, 0

    def tick() -> None:
        nonlocal steps, first
        steps += 1
        if steps == 2:
            first = _status("VmHWM")
            _forget_peak()
        if steps == _STEPS:
            raise _Over

    with contextlib.suppress(_Over):
        loop(tick)
    return first, _status("VmHWM")


def _release() -> None:
    """Return free memory to the operating system, so that using it again counts."""
    gc.collect()
    if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    """Return a size in KiB from the status of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
