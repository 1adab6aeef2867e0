"""Ending a stage when a metric no longer improves."""

from __future__ import annotations

from typing import Any, Literal

from ...errors import TrainingError, did_you_mean
from ...layers import one_of
from ...ranges import NonNegativeFloat, PositiveInt, checked
from .._state import Run
from ._callback import Callback


class EarlyStopping(Callback):
    """Ends a stage after `patience` evaluations in a row in which a metric has not improved.

    List it after the `Evaluate` that measures the metric. Each stage begins anew. The weights are those of the last step;
    `Checkpoint(best=)` selects the best ones. `stopped` of `results.json` lists the stages that it has ended.

    Args:
        metric: The metric, measured on `split`.
        patience: Number of successive evaluations without an improvement.
        min_change: An improvement must be greater than this.
        mode: Whether a greater (`max`) or a smaller (`min`) value is better.
        split: The data on which the metric is measured.

    Raises:
        TrainingError: No evaluation measures that metric.
    """

    @checked
    def __init__(
        self,
        metric: str,
        *,
        patience: PositiveInt = 3,
        min_change: NonNegativeFloat = 0.0,
        mode: Literal["max", "min"] = "max",
        split: str = "val",
    ) -> None:
        self.metric = metric
        self.patience = patience
        self.min_change = min_change
        self.mode = one_of("mode", mode, Literal["max", "min"])
        self.split = split
        self._stage = -1
        self._best: float | None = None
        self._num_without = 0
        self._judged_at: int | None = None

    def on_stage_start(self, run: Run) -> None:
        """Forget the values of another stage."""
        if run.state.stage != self._stage:
            self._stage, self._best, self._num_without, self._judged_at = run.state.stage, None, 0, None

    def on_step_end(self, run: Run) -> None:
        """Judge an evaluation within an epoch."""
        if run.state.was_measured(self.split):
            self._judge(run)

    def on_epoch_end(self, run: Run) -> None:
        """Judge the evaluation at the end of an epoch."""
        if run.state.was_measured(self.split):
            self._judge(run)
        elif run.is_last_epoch and self._judged_at is None:
            raise self._unmeasured(())

    def _judge(self, run: Run) -> None:
        """Compare the newest value with the best one, once for each evaluation."""
        measured = run.state.measured[self.split]
        if self.metric not in measured:
            raise self._unmeasured(list(measured))
        if self._judged_at == run.state.step:
            return
        self._judged_at, value = run.state.step, measured[self.metric]
        if self._is_better(value):
            self._best, self._num_without = value, 0
            return
        self._num_without += 1
        ends = run.is_last_epoch and run.state.batch in (0, run.batches_per_epoch)
        if self._num_without >= self.patience and not ends:
            best = "" if self._best is None else f", the best is {self._best:g}"
            count = f"{self._num_without} evaluation{'s' if self._num_without > 1 else ''}"
            run.stop_stage(f"'{self.metric}' on '{self.split}' has not improved in {count}{best}")

    def _is_better(self, value: float) -> bool:
        if self._best is None:
            return value == value
        change = value - self._best if self.mode == "max" else self._best - value
        return change > self.min_change

    def _unmeasured(self, measured: list[str] | tuple[()]) -> TrainingError:
        message = f"EarlyStopping('{self.metric}'): nothing measures '{self.metric}' on '{self.split}'"
        hint = did_you_mean(self.metric, measured) or "list an Evaluate with that metric before it"
        return TrainingError(message, hint=hint)

    def state(self) -> dict[str, Any]:
        """Return the best value of the stage, and how long ago it was measured."""
        return {
            "stage": self._stage,
            "best": self._best,
            "num_without": self._num_without,
            "judged_at": self._judged_at,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self._stage, self._best, self._num_without, self._judged_at = (
            state[name] for name in ("stage", "best", "num_without", "judged_at")
        )
