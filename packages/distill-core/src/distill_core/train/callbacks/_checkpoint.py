"""Saving a run on the way, and choosing its best moment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from ...errors import TrainingError, did_you_mean
from ...layers import one_of
from ...ranges import PositiveInt, checked
from ...wiring import Wiring
from ..parallel import SUFFIX
from ._callback import Callback
from ._evaluate import Evaluate

if TYPE_CHECKING:
    from .._trainer import Trainer


class Checkpoint(Callback):
    """Saves after every so many epochs; with `best`, remembers the epoch with the best value of a metric.

    List it after the `Evaluate` that measures the metric. The first of equals stays the best. Only stages in which a
    model learns that the metric reads take part.

    Args:
        best: The metric to choose by, measured on `split`; nothing is chosen if left out.
        mode: Whether a greater (`max`) or a smaller (`min`) value is better.
        every: Epochs between two checkpoints; the last epoch of a stage is always saved.
        every_steps: Optimizer steps between two checkpoints within an epoch; none if left out.
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

    def on_fit_start(self, trainer: Trainer) -> None:
        """Set how many checkpoints are kept, and choose anew if the best of a resumed run is damaged."""
        if trainer.store is None:
            return
        trainer.store.keep = self.keep
        if self.chosen is not None and trainer.store.warn_of_damaged_best():
            self.value = self.chosen = None

    def on_step_end(self, trainer: Trainer) -> None:
        """Save within an epoch; its last step is left to the end of the epoch."""
        within = trainer.batch < len(trainer.plan.indices)
        if self.every_steps and trainer.step % self.every_steps == 0 and within:
            trainer.save()

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Save, and note whether this is the best so far."""
        best = self._is_best(trainer)
        last = trainer.epoch == trainer.stage.epochs
        if best or last or trainer.epoch % self.every == 0:
            trainer.save(best=best)

    def _is_best(self, trainer: Trainer) -> bool:
        if self.best is None:
            return False
        measured = trainer.measured.get(self.split)
        if measured is None and trainer.epoch != trainer.stage.epochs:
            return False  # an epoch that was not measured
        if measured is None or self.best not in measured:
            hint = did_you_mean(self.best, measured or ())
            message = f"Checkpoint(best='{self.best}'): nothing measures '{self.best}' on '{self.split}'" + (
                f"\n  hint: {hint}" if hint else "\n  hint: list an Evaluate with that metric before it"
            )
            raise TrainingError(message)
        value = measured[self.best]
        if math.isnan(value) or not self._learns(trainer):
            return False
        better = self.value is None or (value > self.value if self.mode == "max" else value < self.value)
        if better:
            self.value = value
            self.chosen = {"stage": trainer.stage_index, "epoch": trainer.epoch, self.split: measured}
        return better

    def _learns(self, trainer: Trainer) -> bool:
        """Whether a model that the metric reads, or the model of such an average, learns in this stage."""
        evaluations = [c.evaluation for c in trainer.callbacks if isinstance(c, Evaluate) and c.split == self.split]
        metrics = [pair for evaluation in evaluations for pair in evaluation.metrics.items()]
        chosen = [metric for name, metric in metrics if f"{self.best}.".startswith(f"{name}.")]
        taps = [tap for metric in chosen for tap in Wiring(metric.inputs, "metrics").taps]
        read = {tap.source for tap in taps} & set(trainer.models)
        learning = {name.split(".")[0] for name in trainer.run.trainable} if trainer.run is not None else set()
        return not read or any(name in learning or name.removesuffix(SUFFIX) in learning for name in read)

    def state(self) -> dict[str, Any]:
        """The best value so far and where it was."""
        return {"value": self.value, "chosen": self.chosen}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.value, self.chosen = state["value"], state["chosen"]
