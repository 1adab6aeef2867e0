"""Lengths of learning-rate schedules: filled in from the stage, or given as a share of it (`5%`)."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch.optim.lr_scheduler import OneCycleLR, PolynomialLR, SequentialLR

from ...data import Loader
from ...errors import TrainingError
from ...lengths import LENGTHS, SHARE_HINT, length_problem, share
from .._resolved_stage import ResolvedStage


def num_advances(stage: ResolvedStage, steps: int) -> int:
    """Return how often the stage's scheduler advances, if the stage takes `steps` optimizer steps."""
    return steps if stage.scheduler_step == "step" else stage.epochs or 0


def with_lengths(stage: ResolvedStage, steps: int, key: str) -> functools.partial[Any]:
    """Return the stage's scheduler with shares resolved and omitted lengths filled in.

    Args:
        stage: The stage.
        steps: The number of its optimizer steps.
        key: The key of the stage.

    Raises:
        TrainingError: A length does not fit the stage.
    """
    return _with_lengths(stage.scheduler, num_advances(stage, steps), stage, f"{key}.scheduler")


def schedules_of(stages: Sequence[ResolvedStage], loaders: Iterable[Loader]) -> list[str]:
    """Return each stage's schedule with its numbers, as text; empty for a stage without one.

    Raises:
        TrainingError: A length does not fit its stage.
    """
    found = []
    for number, (stage, loader) in enumerate(zip(stages, loaders, strict=True)):
        steps = stage.num_steps(stage.steps_per_epoch(loader))
        each = f" each {stage.scheduler_step}"
        found.append(_text(with_lengths(stage, steps, f"stages.{number}")) + each if stage.scheduler else "")
    return found


def _text(value: Any) -> str:
    """Return a value as text that is the same in every process."""
    if isinstance(value, functools.partial):
        return f"{_text(value.func)}({', '.join(f'{name}={_text(part)}' for name, part in sorted(value.keywords.items()))})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return repr(value) if is_plain else str(getattr(value, "__name__", type(value).__name__))


def length_note(stage: ResolvedStage, steps: int, key: str) -> str:
    """Return a note on the arguments of a scheduler that follow from the length of its stage; empty without any."""
    make = stage.scheduler
    given = make.keywords if isinstance(make, functools.partial) else {}
    call = with_lengths(stage, steps, key)
    inferred = [
        f"{name}={value}" for name, value in call.keywords.items() if value is not given.get(name) and _plain(value)
    ]
    return (
        f"{key}.scheduler: {call.func.__name__} uses {', '.join(inferred)}, from the length of the stage"
        if inferred
        else ""
    )


def parameters_of(make: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a callable by name; empty if they are unknown."""
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError):
        return {}


def _with_lengths(
    make: Any, length: int, stage: ResolvedStage, key: str, *, is_part: bool = False
) -> functools.partial[Any]:
    call = make if isinstance(make, functools.partial) else functools.partial(make)
    for name, value in call.keywords.items():
        _refuse_length(key, name, value)
    given = {name: _resolved(value, length) for name, value in call.keywords.items()}
    if isinstance(given.get("schedulers"), list | tuple):
        lengths = _part_lengths(call.func, given, length)
        given["schedulers"] = [
            _with_lengths(part, own, stage, key, is_part=True) if callable(part) else part
            for part, own in itertools.zip_longest(
                given["schedulers"], lengths[: len(given["schedulers"])], fillvalue=length
            )
        ]
    filled = functools.partial(call.func, *call.args, **given)
    filled = functools.partial(filled, **_omitted(filled, length, stage, key, is_part=is_part))
    _refuse_short(filled, length, stage, key)
    return filled


def _refuse_short(call: functools.partial[Any], length: int, stage: ResolvedStage, key: str) -> None:
    covered = _covered(call)
    if covered is not None and covered < length:
        name, each = call.func.__name__, "step" if stage.scheduler_step == "step" else "epoch"
        message = f"{name} has {covered} steps and raises after them, but it advances {length} times, once each {each}"
        raise TrainingError(message, key=key, hint="omit `total_steps`: it is filled in from the stage")


def _omitted(
    call: functools.partial[Any], length: int, stage: ResolvedStage, key: str, *, is_part: bool
) -> dict[str, Any]:
    """Return the lengths that the call omits, from the stage."""
    given, parameters = call.keywords, parameters_of(call)
    free = {name: parameter.default for name, parameter in parameters.items() if name not in given}
    if "t_in_epochs" in parameters:
        by_epoch = stage.scheduler_step == "epoch"
        if given.get("t_in_epochs", by_epoch) is not by_epoch:
            message = f"`t_in_epochs: {str(not by_epoch).lower()}` contradicts `scheduler_step: {stage.scheduler_step}`"
            raise TrainingError(message, key=key, hint="omit `t_in_epochs`: it follows from `scheduler_step`")
    by_parts = given.keys() & {"epochs", "steps_per_epoch"} and "total_steps" not in given
    if _is_one_cycle(call.func) and by_parts and (epochs := stage.epochs):
        known = {"epochs": epochs, "steps_per_epoch": length // epochs}
        return {name: value for name, value in known.items() if name in free}
    found: dict[str, Any] = {}
    for name in LENGTHS:
        whole = free.get(name, 0)
        if (
            whole is inspect.Parameter.empty
            or whole is None
            or (name == "total_iters" in free and _spans(call.func, is_part))
        ):
            found[name] = length
    if "num_stable_steps" in given:
        found.pop("num_training_steps", None)
    warm_up = given.get("warmup_t")
    if (
        isinstance(warm_up, int)
        and given.get("warmup_prefix", "warmup_prefix" not in parameters)
        and "t_initial" in found
    ):
        found["t_initial"] = max(1, length - warm_up)
    return found | ({"t_in_epochs": stage.scheduler_step == "epoch"} if "t_in_epochs" in free else {})


def _is_one_cycle(make: Any) -> bool:
    """Return whether this is a scheduler that raises when it advances beyond its length."""
    return isinstance(make, type) and issubclass(make, OneCycleLR)


def _spans(make: Any, is_part: bool) -> bool:
    """Return whether torch's default of `total_iters`, 5, is replaced: a decay takes the stage, a part of a sequence its part."""
    return is_part or (isinstance(make, type) and issubclass(make, PolynomialLR))


def _part_lengths(make: Any, given: Mapping[str, Any], length: int) -> list[int]:
    """Return the length of each scheduler in a sequence or a chain."""
    if not (isinstance(make, type) and issubclass(make, SequentialLR)):
        return []
    ends = [0, *given.get("milestones", ()), length]
    if not all(isinstance(end, int) for end in ends):
        return []
    return [max(1, after - before) for before, after in itertools.pairwise(ends)]


def _resolved(value: Any, length: int) -> Any:
    """Return a value with each share replaced by that share of the length, at least 1 unless it is 0%."""
    if isinstance(value, list | tuple):
        return [_resolved(item, length) for item in value]
    percent = share(value)
    if percent is None:
        return value
    return max(1, round(length * percent / 100)) if percent else 0


def _refuse_length(key: str, name: str, value: Any) -> None:
    for item in value if isinstance(value, list | tuple) else [value]:
        if problem := length_problem(name, item):
            message = f"{problem}"
            raise TrainingError(message, key=key, hint=SHARE_HINT)


def _covered(call: functools.partial[Any]) -> int | None:
    """Return how often a scheduler can advance before it raises; None if it never does, or if that is not known."""
    given = call.keywords
    if not _is_one_cycle(call.func):
        return None
    total = given.get("total_steps")
    if total is None and {"epochs", "steps_per_epoch"} <= given.keys():
        total = given["epochs"] * given["steps_per_epoch"]
    return total if isinstance(total, int) else None


def _plain(value: Any) -> bool:
    return not isinstance(value, list | tuple) or not any(map(callable, value))
