"""Lowering the learning rate when a metric no longer improves."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch.optim import lr_scheduler

from ...errors import TrainingError, did_you_mean
from ...layers import one_of
from ...ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, checked
from .._state import Run
from ._callback import Callback

_KEPT = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when a metric has not improved in `patience` evaluations at ends of epochs.

    It is torch's scheduler of this name on a measured metric; as the `scheduler` of a stage, torch's watches the mean
    training loss. List it after the `Evaluate` that measures the metric. Each stage begins anew.

    Args:
        metric: The metric, measured on `split`.
        split: The data on which the metric is measured.
        mode: Whether a greater (`max`) or a smaller (`min`) value is better.
        factor: What the learning rate is multiplied by, below 1.
        patience: Number of evaluations without an improvement that are allowed.
        threshold: An improvement must be greater than this fraction of the best value.
        cooldown: Number of evaluations after a reduction that do not count.
        min_lr: The least learning rate.

    Raises:
        TrainingError: No evaluation measures that metric, or the stage has a `scheduler` as well.
    """

    @checked
    def __init__(
        self,
        metric: str,
        *,
        split: str = "val",
        mode: Literal["max", "min"] = "max",
        factor: PositiveFloat = 0.1,
        patience: NonNegativeInt = 3,
        threshold: NonNegativeFloat = 1e-4,
        cooldown: NonNegativeInt = 0,
        min_lr: NonNegativeFloat = 0.0,
    ) -> None:
        self.metric, self.split = metric, split
        mode = one_of("mode", mode, Literal["max", "min"])
        if factor >= 1:
            message = f"`factor` must be below 1, got {factor:g}"
            raise TrainingError(message)
        self._options: dict[str, Any] = {
            "mode": mode, "factor": factor, "patience": patience, "threshold": threshold, "cooldown": cooldown, "min_lr": min_lr,
        }  # fmt: skip
        self._scheduler: lr_scheduler.ReduceLROnPlateau | None = None
        self._stage = -1
        self._saved: dict[str, Any] = {}

    def on_stage_start(self, run: Run) -> None:
        """Watch the optimizer of the stage."""
        if run.stage.scheduler is not None:
            message = f"stage {run.state.stage} has a `scheduler`, which sets the learning rate as well"
            raise TrainingError(message, hint="omit `scheduler`, or the callback ReduceLROnPlateau")
        self._scheduler = lr_scheduler.ReduceLROnPlateau(run.optimizer, **self._options)
        if self._saved and self._stage == run.state.stage:
            self._scheduler.load_state_dict(self._saved)
        self._stage, self._saved = run.state.stage, {}

    def on_epoch_end(self, run: Run) -> None:
        """Judge the evaluation at the end of an epoch, if there was one."""
        if not run.state.was_measured(self.split):
            return
        measured = run.state.measured[self.split]
        if self.metric not in measured:
            message = f"ReduceLROnPlateau('{self.metric}'): nothing measures '{self.metric}' on '{self.split}'"
            hint = did_you_mean(self.metric, measured) or "list an Evaluate with that metric before it"
            raise TrainingError(message, hint=hint)
        if self._scheduler is not None:
            self._scheduler.step(measured[self.metric])

    def state(self) -> dict[str, Any]:
        """Return the best value of the stage, and the counts of evaluations since."""
        kept = {name: getattr(self._scheduler, name) for name in _KEPT} if self._scheduler is not None else {}
        if kept and math.isinf(kept["best"]):
            del kept["best"]  # nothing has been measured; JSON has no infinity
        return {"stage": self._stage, "scheduler": kept}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned, once the stage has begun."""
        self._stage, self._saved = state["stage"], state["scheduler"]
