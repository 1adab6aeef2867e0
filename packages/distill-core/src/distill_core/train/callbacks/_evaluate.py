"""Evaluation during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...experiment import Evaluation, Metric
from ...ranges import PositiveInt, checked
from .._state import Run
from ._callback import Callback


class Evaluate(Callback):
    """Evaluates every `every` epochs, and at the end of a stage.

    Args:
        loader: The data to evaluate on.
        metrics: The metrics by name, each with its wiring.
        every: Number of epochs between two evaluations.
        every_steps: Number of optimizer steps between two further evaluations; none by default.
        split: Name of the data in the log.
    """

    @checked
    def __init__(
        self,
        loader: Any,
        metrics: Mapping[str, Metric],
        *,
        every: PositiveInt = 1,
        every_steps: PositiveInt | None = None,
        split: str = "val",
    ) -> None:
        self.evaluation = Evaluation(loader=loader, metrics=metrics)
        self.every = every
        self.every_steps = every_steps
        self.split = split

    def on_step_end(self, run: Run) -> None:
        """Evaluate and log within an epoch."""
        if self.every_steps and run.state.step % self.every_steps == 0:
            run.evaluate(self.evaluation, split=self.split)

    def on_epoch_end(self, run: Run) -> None:
        """Evaluate and log, unless this step was evaluated already."""
        is_due = run.state.epoch % self.every == 0 or run.is_last_epoch
        if is_due and not run.state.was_measured(self.split):
            run.evaluate(self.evaluation, split=self.split)
