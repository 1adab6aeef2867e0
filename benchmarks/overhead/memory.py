"""Peak memory of a few steps, measured in a separate process."""

from __future__ import annotations

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
    """Return the peak memory in MiB beyond that of the new models: of all steps, and from the third step on."""
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
    loop = make_loop(make_work())
    before, steps, first = _status("VmRSS"), 0, 0
    _forget_peak()

    def tick() -> None:
        nonlocal steps, first
        steps += 1
        if steps == 2:
            first = _status("VmHWM")
            _forget_peak()
        if steps == _STEPS:
            raise _Over

    try:
        loop(tick)
    except _Over:
        later = _status("VmHWM")
        answer.send(((max(first, later) - before) / 1024, (later - before) / 1024))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    """Return a size in KiB from the status of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
