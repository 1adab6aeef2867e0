"""Evaluation during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...experiment import Evaluation, Metric
from ...ranges import PositiveInt, checked
from ._callback import Callback

if TYPE_CHECKING:
    from .._trainer import Trainer


class Evaluate(Callback):
    """Measure after every so many epochs, and after the last.

    Args:
        loader: The data to measure on.
        metrics: The metrics by name, each with its wiring.
        every: Epochs between two measurements.
        split: What the data are called in the log.
    """

    @checked
    def __init__(
        self, loader: Any, metrics: Mapping[str, Metric], *, every: PositiveInt = 1, split: str = "val"
    ) -> None:
        self.evaluation = Evaluation(loader=loader, metrics=metrics)
        self.every = every
        self.split = split

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Measure and log."""
        if trainer.epoch % self.every and trainer.epoch != trainer.stage.epochs:
            return
        measured = trainer.evaluate(self.evaluation)
        trainer.measured[self.split] = measured
        trainer.log({"split": self.split, "metrics": measured, "percent": self.evaluation.percent(measured)})
