"""Progress bar of a download."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes downloaded and the total, None if unknown."""

WIDTH = 24
PAUSE = 0.1


def silent(done: int, total: int | None) -> None:
    """Show nothing."""


class Bar:
    """A progress bar, redrawn at most ten times a second.

    Args:
        name: The label.
        stream: The terminal.
    """

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name, self.stream = name, stream
        self.start: tuple[float, int] | None = None
        self.drawn = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        """Redraw the bar."""
        now = time.monotonic()
        self.start = self.start or (now, done)
        finished = total is not None and done >= total
        if now - self.drawn < PAUSE and not finished:
            return
        self.drawn = now
        speed = (done - self.start[1]) / max(now - self.start[0], 1e-3)
        self.stream.write(
            f"\r{self.name}  {describe(done, total)}  {speed / 1e6:.1f} MB/s " + ("\n" if finished else "")
        )
        self.stream.flush()


def describe(done: int, total: int | None) -> str:
    """Return the bar and the megabytes, or only the megabytes if the total is unknown.

    >>> describe(1_500_000, 6_000_000)
    '[######..................]  25%  1.5 of 6.0 MB'
    >>> describe(1_500_000, None)
    '1.5 MB'
    """
    if not total:
        return f"{done / 1e6:.1f} MB"
    fraction = min(done / total, 1.0)
    full = int(fraction * WIDTH)
    return f"[{'#' * full}{'.' * (WIDTH - full)}] {fraction:4.0%}  {done / 1e6:.1f} of {total / 1e6:.1f} MB"


def for_terminal(name: str) -> Progress:
    """Return a bar on standard error if that is a terminal, and `silent` otherwise."""
    return Bar(name, sys.stderr) if sys.stderr is not None and sys.stderr.isatty() else silent
