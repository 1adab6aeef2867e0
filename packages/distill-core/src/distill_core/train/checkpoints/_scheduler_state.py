"""The state of a scheduler in a checkpoint, and the state that a changed scheduler would have there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from .._stage_run import StageRun
from .._state import RunState
from ..step import step_scheduler

_SEEN = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch", "_last_lr")


def scheduler_state(scheduler: Any) -> dict[str, Any] | None:
    """Return the scheduler's state; None for timm's, which compute each rate from the count alone."""
    if scheduler is None or _is_stateless(scheduler):
        return None
    state: dict[str, Any] = scheduler.state_dict()
    return state


def restore_scheduler(run: StageRun, saved: Mapping[str, Any], state: RunState, *, is_changed: bool) -> None:
    """Load the optimizer and its scheduler. A changed scheduler is advanced from the stage's start to the checkpoint.

    Args:
        run: The stage.
        saved: The content of the checkpoint.
        state: The state of the run in the checkpoint.
        is_changed: Whether the scheduler differs from that of the checkpoint.
    """
    fresh = [{key: value for key, value in group.items() if key != "params"} for group in run.optimizer.param_groups]
    run.update.load_state(saved["optimizer"])
    scheduler, old = run.scheduler, saved["scheduler"]
    run.optimizer._opt_called = True  # noqa: SLF001  torch warns of a scheduler step before an optimizer step
    if not is_changed:
        if old is not None:
            scheduler.load_state_dict(old)
        return
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.load_state_dict({**scheduler.state_dict(), **{key: old[key] for key in _SEEN if key in (old or ())}})
        return
    for group, options in zip(run.optimizer.param_groups, fresh, strict=True):
        group.update(options)
    for count in range(1, num_advanced(run, state) + 1 if scheduler is not None else 1):
        step_scheduler(run.stage, scheduler, count, None)


def num_advanced(run: StageRun, state: RunState) -> int:
    """Return how often a stage's scheduler has advanced at a state of the run."""
    return state.stage_step if run.stage.scheduler_step == "step" else state.epoch - (state.batch > 0)


def _is_stateless(scheduler: Any) -> bool:
    return hasattr(scheduler, "step_update") and not hasattr(scheduler, "lr_scheduler")
