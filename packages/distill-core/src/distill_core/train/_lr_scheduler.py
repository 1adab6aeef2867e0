"""Learning-rate schedulers: make one for a stage, advance it, and compare its length with that of the stage."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..errors import Problem, TrainingError
from ..experiment import Stage

_LENGTHS = ("total_steps", "T_max", "num_training_steps", "t_initial", "total_iters")
_RAMPS = ("ConstantLR", "LinearLR")  # they may end before the stage does: a warm-up


def make_scheduler(stage: Stage, optimizer: Optimizer, steps: int, key: str) -> Any:
    """The stage's scheduler; the numbers of steps that its signature requires and the file leaves open are filled in.

    Raises:
        TrainingError: It cannot be made, or is to advance when it has nothing to watch.
    """
    make: Callable[..., Any] = stage.scheduler  # type: ignore[assignment]
    length = num_advances(stage, steps)
    known = {"num_training_steps": length, "total_steps": length, "T_max": length, "total_iters": length}
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return make(optimizer)
    missing = [p.name for p in parameters if p.default is p.empty and p.name in known]
    try:
        scheduler = make(optimizer, **{name: known[name] for name in missing})
    except TypeError as error:
        message = f"the scheduler cannot be made: {error}"
        raise TrainingError(message) from error
    if isinstance(scheduler, ReduceLROnPlateau) and stage.scheduler_step == "step":
        message = f"{key}: ReduceLROnPlateau watches the mean training loss of an epoch, and there is none after a step"
        raise TrainingError(str(Problem(message, hint="set `scheduler_step: epoch`")))
    return scheduler


def num_advances(stage: Stage, steps: int) -> int:
    """How often the stage's scheduler advances, if the stage takes `steps` optimizer steps."""
    return steps if stage.scheduler_step == "step" else int(stage.epochs)  # type: ignore[arg-type]


def step_scheduler(scheduler: Any, loss: float | None) -> None:
    """Advance a scheduler; one that watches a plateau sees the epoch's mean training loss."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(loss)  # type: ignore[arg-type]
    else:
        scheduler.step()


def scheduler_note(stage: Stage, scheduler: Any, steps: int | None, key: str) -> str:
    """Say that a scheduler does not fit its stage; empty if it does, or if that is not known.

    Args:
        stage: The stage.
        scheduler: Its scheduler.
        steps: The number of its optimizer steps; None if it is not known.
        key: The key of the stage.
    """
    if isinstance(scheduler, ReduceLROnPlateau):
        if scheduler.mode == "min":
            return ""
        message = f"{key}.scheduler: ReduceLROnPlateau with mode 'max' is given the mean training loss, which falls"
        return str(Problem(message, hint="omit `mode`: it is 'min'"))
    if steps is None and stage.scheduler_step == "step":
        return ""
    length = num_advances(stage, steps or 0)
    for name, value in _lengths(stage.scheduler, scheduler).items():
        if value == length or (value < length and name == "total_iters" and type(scheduler).__name__ in _RAMPS):
            continue
        each = "step" if stage.scheduler_step == "step" else "epoch"
        message = f"{key}.scheduler: {type(scheduler).__name__} has {name}={value}, but it advances {length} times, once each {each}"
        return str(Problem(message, hint=f"set `{name}: {length}`, or another `scheduler_step`"))
    return ""


def _lengths(make: Any, scheduler: Any) -> dict[str, int]:
    """The numbers of steps that a scheduler was given, by name."""
    given: dict[str, Any] = make.keywords if isinstance(make, functools.partial) else {}
    found = {name: getattr(scheduler, name, given.get(name)) for name in _LENGTHS}
    return {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}
