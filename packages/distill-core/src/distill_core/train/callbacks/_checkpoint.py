"""Saving a run at regular intervals, and choosing its best evaluation."""

from __future__ import annotations

import math
from typing import Any, Literal

from ...errors import TrainingError, did_you_mean
from ...layers import one_of
from ...ranges import PositiveInt, checked
from ...wiring import Wiring
from .._state import Run
from ..parallel import SUFFIX
from ._callback import Callback
from ._evaluate import Evaluate


class Checkpoint(Callback):
    """Saves every `every` epochs; with `best`, saves and remembers the evaluation with the best value of a metric.

    List it after the `Evaluate` that measures the metric. Of equal values the first stays the best. A stage counts only
    if a model that the metric reads learns in it.

    Args:
        best: The metric to choose by, measured on `split`; without it none is chosen.
        mode: Whether a greater (`max`) or a smaller (`min`) value is better.
        every: Number of epochs between two checkpoints; the end of a stage is always saved.
        every_steps: Number of optimizer steps between two checkpoints within an epoch; none by default.
        split: The data on which the choice is made.
        keep: Number of the newest checkpoints to keep besides the best.

    Raises:
        TrainingError: No evaluation measures that metric.
    """

    @checked
    def __init__(
        self,
        *,
        best: str | None = None,
        mode: Literal["max", "min"] = "max",
        every: PositiveInt = 1,
        every_steps: PositiveInt | None = None,
        split: str = "val",
        keep: PositiveInt = 2,
    ) -> None:
        self.best = best
        self.mode = one_of("mode", mode, Literal["max", "min"])
        self.every = every
        self.every_steps = every_steps
        self.split = split
        self.keep = keep
        self.value: float | None = None
        self.chosen: dict[str, Any] | None = None

    def on_fit_start(self, run: Run) -> None:
        """Set how many checkpoints are kept, and forget the best epoch of a resumed run if its checkpoint is damaged."""
        if run.store is None:
            return
        run.store.keep = self.keep
        if self.chosen is not None and run.store.warn_of_damaged_best():
            self.value = self.chosen = None

    def on_step_end(self, run: Run) -> None:
        """Save within an epoch; the last step is saved by `on_epoch_end`."""
        if run.state.batch == run.batches_per_epoch or run.state.is_stopped:
            return
        best = self.best is not None and run.state.was_measured(self.split) and self._is_best(run)
        if best or (self.every_steps and run.state.step % self.every_steps == 0):
            run.save(best=best)

    def on_epoch_end(self, run: Run) -> None:
        """Save, and record whether this epoch is the best so far."""
        best = self._is_best(run)
        if best or run.is_last_epoch or run.state.epoch % self.every == 0:
            run.save(best=best)

    def _is_best(self, run: Run) -> bool:
        if self.best is None:
            return False
        measured = run.state.measured.get(self.split) if run.state.was_measured(self.split) else None
        if measured is None and not run.is_last_epoch:
            return False  # an epoch that was not measured
        if measured is None or self.best not in measured:
            message = f"Checkpoint(best='{self.best}'): nothing measures '{self.best}' on '{self.split}'"
            hint = did_you_mean(self.best, measured or ()) or "list an Evaluate with that metric before it"
            raise TrainingError(message, hint=hint)
        value = measured[self.best]
        if math.isnan(value) or not self._learns(run):
            return False
        better = self.value is None or (value > self.value if self.mode == "max" else value < self.value)
        if better:
            self.value = value
            self.chosen = {**run.state.position(), self.split: measured}
        return better

    def _learns(self, run: Run) -> bool:
        """Return whether a model that the metric reads, or the model of which it is the EMA, learns in this stage."""
        evaluations = [c.evaluation for c in run.callbacks if isinstance(c, Evaluate) and c.split == self.split]
        metrics = [pair for evaluation in evaluations for pair in evaluation.metrics.items()]
        chosen = [metric for name, metric in metrics if f"{self.best}.".startswith(f"{name}.")]
        taps = [tap for metric in chosen for tap in Wiring(metric.inputs, "metrics").taps]
        read = {tap.source for tap in taps} & set(run.models)
        learning = {name.split(".")[0] for name in run.trainable}
        return not read or any(name in learning or name.removesuffix(SUFFIX) in learning for name in read)

    def state(self) -> dict[str, Any]:
        """Return the best value so far and its epoch."""
        return {"value": self.value, "chosen": self.chosen}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.value, self.chosen = state["value"], state["chosen"]
