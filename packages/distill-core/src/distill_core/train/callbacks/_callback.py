"""The base class of callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from .._state import Run


class Callback:
    """Code that runs at fixed points of training. Every method does nothing by default.

    A callback with state returns it from `state` (JSON values), so that a resumed run restores it.

    Attributes:
        on_every_process: Whether every process calls `on_fit_end`, instead of the main process only. A callback that runs
            models there needs it, because a sharded model runs only on all processes together.
    """

    on_every_process: ClassVar[bool] = False

    def check(self, models: Mapping[str, nn.Module]) -> None:
        """Raise a `DistillError` if the callback will fail with these models. `check --deep` calls it, on the meta device."""

    def on_fit_start(self, run: Run) -> None:
        """Called before training."""

    def on_stage_start(self, run: Run) -> None:
        """Called after the stage's optimizer is created, before its first step."""

    def on_log(self, run: Run, record: dict[str, Any]) -> None:
        """Called for each line of `metrics.jsonl`, on the main process only."""

    def on_step_end(self, run: Run) -> None:
        """Called after each optimizer step."""

    def on_epoch_end(self, run: Run) -> None:
        """Called after the last step of an epoch, in the order of the list; a `Checkpoint` comes last."""

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:
        """Called after training and the test, on the main process only; see `on_every_process`."""

    def close(self) -> None:
        """Called on every process when the run ends, also by an error or an interrupt: release what the callback holds."""

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `state` returned."""
