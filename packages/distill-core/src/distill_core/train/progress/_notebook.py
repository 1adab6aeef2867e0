"""A progress bar below the cell of a notebook."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

from ..callbacks import Callback
from ._lines import describe_losses, describe_metrics, describe_rate, describe_run, peak_memory, stage_name

if TYPE_CHECKING:
    from .._state import Run

WIDTH = 20
SECONDS = 0.5
"""Time between two updates."""


class NotebookBar(Callback):
    """Shows a line for each stage, updated in place, with the losses and metrics below it."""

    def __init__(self) -> None:
        self._display: Any = importlib.import_module("IPython.display").display
        self._handle: Any = None
        self._start = self._drawn = 0.0
        self._rate = self._losses = self._metrics = ""

    def on_fit_start(self, run: Run) -> None:
        """Show the models, the device, the precision and the seed."""
        if run.is_main:
            self._display({"text/plain": "\n".join(describe_run(run))}, raw=True)

    def on_stage_start(self, run: Run) -> None:
        """Start a new bar."""
        if run.is_main:
            self._start, self._rate, self._losses, self._metrics = time.monotonic(), "", "", ""
            self._handle = self._display(self._text(run), raw=True, display_id=True)

    def on_step_end(self, run: Run) -> None:
        """Update the bar if it is due."""
        if self._handle is not None and time.monotonic() - self._drawn > SECONDS:
            self._draw(run)

    def on_log(self, run: Run, record: dict[str, Any]) -> None:
        """Show new numbers."""
        if "metrics" in record:
            self._metrics = f"{record['split']} {describe_metrics(record)}"
        else:
            self._losses = describe_losses(record)
            self._rate = f"{describe_rate(record.get('samples_per_second', 0))}/s"
        if self._handle is not None:
            self._draw(run)

    def _draw(self, run: Run) -> None:
        self._drawn = time.monotonic()
        self._handle.update(self._text(run), raw=True)

    def _text(self, run: Run) -> dict[str, str]:
        """Return the bar as the content of an output cell."""
        done, total = run.state.stage_step, max(run.stage.num_steps(run.steps_per_epoch), 1)
        elapsed = time.monotonic() - self._start
        left = f"{clock(elapsed * (total - done) / done)} left" if done else ""
        filled = round(WIDTH * min(done / total, 1))
        head = f"{stage_name(run)} {'█' * filled}{'░' * (WIDTH - filled)} epoch {run.state.epoch}/{run.num_epochs}"
        line = " · ".join(filter(None, (head, clock(elapsed), left, self._rate, peak_memory(run.device))))
        return {"text/plain": "\n".join(filter(None, (line, self._losses, self._metrics)))}


def clock(seconds: float) -> str:
    """Return a duration.

    >>> clock(75.4), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
