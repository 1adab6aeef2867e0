"""Learning-rate schedulers: make one for a stage, advance it, and compare its length with that of the stage."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ...errors import Problem, TrainingError
from ...lengths import LENGTHS, WARM_UPS
from .._resolved_stage import ResolvedStage
from ._schedule_length import num_advances, parameters_of, with_lengths

_RAMPS = ("ConstantLR", "LinearLR")  # they may end before the stage does: a warm-up


def make_scheduler(stage: ResolvedStage, optimizer: Optimizer, steps: int, key: str) -> Any:
    """Return the stage's scheduler, with shares resolved and omitted lengths filled in.

    Args:
        stage: The stage.
        optimizer: Its optimizer.
        steps: The number of its optimizer steps.
        key: The key of the stage.

    Raises:
        TrainingError: It cannot be made, is shorter than the stage and raises at its end, or is to advance when it has
            nothing to watch.
    """
    try:
        scheduler = _made(with_lengths(stage, steps, key), optimizer)
    except TrainingError:
        raise
    except Exception as error:
        message = f"{_name(stage.scheduler)} cannot be made: {type(error).__name__}: {error}"
        hint = "give the arguments that it requires; a number of steps may be a share of the stage, `5%`"
        raise TrainingError(message, key=f"{key}.scheduler", hint=hint) from error
    if _plateau(scheduler) is not None and stage.scheduler_step == "step":
        name = type(scheduler).__name__
        message = f"{name} watches the mean training loss of an epoch, and there is none after a step"
        raise TrainingError(message, key=key, hint="set `scheduler_step: epoch`")
    return scheduler


def _made(call: functools.partial[Any], optimizer: Optimizer) -> Any:
    given = dict(call.keywords)
    if isinstance(given.get("schedulers"), list):
        given["schedulers"] = [_made(part, optimizer) if callable(part) else part for part in given["schedulers"]]
    make = functools.partial(call.func, *call.args, **given)
    return make(optimizer=optimizer) if "optimizer" in parameters_of(call) else make(optimizer)


def _name(make: Any) -> str:
    func = make.func if isinstance(make, functools.partial) else make
    return str(getattr(func, "__name__", type(func).__name__))


def _plateau(scheduler: Any) -> ReduceLROnPlateau | None:
    """Return the plateau scheduler, torch's or the one inside timm's; None for another scheduler."""
    inner = getattr(scheduler, "lr_scheduler", scheduler)
    return inner if isinstance(inner, ReduceLROnPlateau) else None


def step_scheduler(stage: ResolvedStage, scheduler: Any, count: int, loss: float | None) -> None:
    """Advance a scheduler.

    Args:
        stage: The stage.
        scheduler: Its scheduler, one of torch's kind or of timm's, which is given the count.
        count: Steps or epochs of the stage that are done.
        loss: The epoch's mean training loss, for one that watches a plateau.
    """
    if hasattr(scheduler, "step_update"):
        scheduler.step_update(count) if stage.scheduler_step == "step" else scheduler.step(count, loss)
    elif isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(loss)  # type: ignore[arg-type]
    else:
        scheduler.step()


def scheduler_note(stage: ResolvedStage, scheduler: Any, steps: int | None, key: str) -> Problem | None:
    """Return a note if a scheduler does not match its stage; None if it does, or if that is not known.

    Args:
        stage: The stage.
        scheduler: Its scheduler.
        steps: The number of its optimizer steps; None if it is not known.
        key: The key of the stage.
    """
    if (plateau := _plateau(scheduler)) is not None:
        name = type(scheduler).__name__
        message = f"{name} with mode 'max' is given the mean training loss, which falls"
        return Problem(message, key=f"{key}.scheduler", hint="set `mode: min`") if plateau.mode == "max" else None
    if steps is None and stage.scheduler_step == "step":
        return None
    length = num_advances(stage, steps or 0)
    each = "step" if stage.scheduler_step == "step" else "epoch"
    given = with_lengths(stage, steps or 0, key).keywords
    advances = f"but it advances {length} times, once each {each}"
    for name, value in _numbers(WARM_UPS, scheduler, given).items():
        if value >= length:
            message = f"{type(scheduler).__name__} warms up for {name}={value}, {advances}"
            return Problem(message, key=f"{key}.scheduler", hint=f"set `{name}: 5%`, a share of the stage")
    for name, value in _numbers(LENGTHS, scheduler, given).items():
        if _is_fit(name, value, length, scheduler, given):
            continue
        message = f"{type(scheduler).__name__} has {name}={value}, {advances}"
        filled = (
            "omit it to have it filled in"
            if type(scheduler).__name__ not in _RAMPS
            else "give a share of the stage, `5%`"
        )
        hint = f"set `{name}: {length}`, {filled}, or another `scheduler_step`"
        return Problem(message, key=f"{key}.scheduler", hint=hint)
    return None


def _is_fit(name: str, value: int, length: int, scheduler: Any, given: Mapping[str, Any]) -> bool:
    if name == "t_initial" and isinstance(given.get("warmup_t"), int):
        return value in (length, length - given["warmup_t"])
    return value == length or (value < length and name == "total_iters" and type(scheduler).__name__ in _RAMPS)


def _numbers(names: Sequence[str], scheduler: Any, given: Mapping[str, Any]) -> dict[str, int]:
    """Return the lengths of a scheduler by name, from its attributes or arguments."""
    found = {name: getattr(scheduler, name, given.get(name)) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}
