"""The state of a scheduler in a checkpoint, and the state that a changed one would have there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from ._lr_scheduler import step_scheduler

if TYPE_CHECKING:
    from .._stage import StageRun

_SEEN = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch", "_last_lr")


def scheduler_state(scheduler: Any) -> dict[str, Any] | None:
    """Return what a checkpoint holds of a scheduler; timm's compute each rate from the count alone."""
    if scheduler is None or _is_stateless(scheduler):
        return None
    state: dict[str, Any] = scheduler.state_dict()
    return state


def restore_scheduler(run: StageRun, state: Mapping[str, Any], *, is_changed: bool) -> None:
    """Load the optimizer and its scheduler; a changed scheduler is where it would be had it run from the stage's start.

    Args:
        run: The stage.
        state: The checkpoint.
        is_changed: Whether the scheduler is another one than that of the checkpoint.
    """
    fresh = [{key: value for key, value in group.items() if key != "params"} for group in run.optimizer.param_groups]
    run.update.load_state(state["optimizer"])
    scheduler, saved = run.scheduler, state["scheduler"]
    run.optimizer._opt_called = True  # noqa: SLF001  torch takes a scheduler's step without one of the optimizer for a mistake
    if not is_changed:
        if saved is not None:
            scheduler.load_state_dict(saved)
        return
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.load_state_dict(
            {**scheduler.state_dict(), **{key: saved[key] for key in _SEEN if key in (saved or ())}}
        )
        return
    for group, options in zip(run.optimizer.param_groups, fresh, strict=True):
        group.update(options)
    for count in range(1, num_advanced(run, state["position"]) + 1 if scheduler is not None else 1):
        step_scheduler(run.stage, scheduler, count, None)


def num_advanced(run: StageRun, position: Mapping[str, int]) -> int:
    """Return how often a stage's scheduler has advanced at a position."""
    within = position["batch"] > 0
    if run.stage.scheduler_step == "epoch":
        return position["epoch"] - within
    done = -(-position["batch"] // int(run.stage.accumulate))  # type: ignore[arg-type]
    return (position["epoch"] - within) * run.steps_per_epoch + done


def _is_stateless(scheduler: Any) -> bool:
    return hasattr(scheduler, "step_update") and not hasattr(scheduler, "lr_scheduler")
