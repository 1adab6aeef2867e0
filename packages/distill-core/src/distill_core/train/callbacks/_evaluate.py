"""Evaluation during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...experiment import Evaluation, Metric
from ...ranges import PositiveInt, checked
from .._state import Run
from ._callback import Callback


class Evaluate(Callback):
    """Evaluates every `every` epochs, and after the last epoch of a stage.

    Args:
        loader: The data to evaluate on.
        metrics: The metrics by name, each with its wiring.
        every: Number of epochs between two evaluations.
        split: Name of the data in the log.
    """

    @checked
    def __init__(
        self, loader: Any, metrics: Mapping[str, Metric], *, every: PositiveInt = 1, split: str = "val"
    ) -> None:
        self.evaluation = Evaluation(loader=loader, metrics=metrics)
        self.every = every
        self.split = split

    def on_epoch_end(self, run: Run) -> None:
        """Evaluate and log."""
        if run.state.epoch % self.every and run.state.epoch != run.stage.epochs:
            return
        run.evaluate(self.evaluation, split=self.split)
