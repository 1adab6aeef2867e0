"""What can be hung into a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._trainer import Trainer


class Callback:
    """Something that happens on the way; every method is a no-op to be overridden.

    A callback that remembers something gives it in `state` (JSON values), so that a resumed run remembers it too.
    """

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before anything is trained."""

    def on_stage_start(self, trainer: Trainer) -> None:
        """When the stage's optimizer stands, before its first step."""

    def on_log(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """For each line of `metrics.jsonl`; on the main process only."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After each optimizer step."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After the last step of an epoch, in the order in which the callbacks are listed; checkpoints come last."""

    def on_fit_end(self, trainer: Trainer, results: dict[str, Any]) -> None:
        """When all is trained and tested; on the main process only."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold for this callback."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
