"""The trainable parameters and their groups, chosen by globs over dotted names."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from ...errors import TrainingError, WiringError, did_you_mean, nearest

Named = Mapping[str, nn.Parameter]
logger = logging.getLogger("distill")


def named_parameters(models: Mapping[str, nn.Module], losses: Mapping[str, Any]) -> dict[str, nn.Parameter]:
    """Return every parameter by its address: `student.fc.weight`, `losses.fitnet.regressor.weight`.

    A tensor that is reached by two names is listed under both.
    """
    parts = {**models, **{f"losses.{name}": loss for name, loss in losses.items() if isinstance(loss, nn.Module)}}
    return {
        f"{part}.{name}": parameter
        for part, module in parts.items()
        for name, parameter in module.named_parameters(remove_duplicate=False)
    }


def matches(name: str, pattern: str) -> bool:
    """Return whether the glob names this parameter or a module that contains it.

    >>> matches("student.layer1.0.weight", "student.layer1"), matches("student.layer1.0.weight", "student.layer2")
    (True, False)
    >>> matches("student.layer1.0.bn1.bias", "student.*.bn?")
    True
    """
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def select(names: Iterable[str], patterns: Sequence[str], key: str) -> set[str]:
    """Return the names that the globs choose; a glob that begins with `!` removes names.

    Args:
        key: Key of the globs, for the message.

    Raises:
        WiringError: A glob matches nothing.
    """
    names = list(names)
    chosen: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if matches(name, pattern.removeprefix("!"))}
        if not found:
            prefixes = {".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 2)}
            close = nearest(pattern.removeprefix("!"), prefixes)
            hint = f"did you mean '{close}'?" if close else did_you_mean("", {name.split(".")[0] for name in names})
            message = f"the glob '{pattern}' matches no parameter"
            raise WiringError(message, key=key, hint=hint)
        chosen = chosen - found if pattern.startswith("!") else chosen | found
    return chosen


def default_patterns(parameters: Named) -> list[str]:
    """Return globs for every model whose name does not begin with `teacher`, and all losses."""
    return sorted({name.split(".")[0] for name in parameters if not name.startswith("teacher")})


def parameter_groups(
    trainable: Named, groups: Mapping[str, Mapping[str, Any]] | None, key: str
) -> list[dict[str, Any]]:
    """Return parameter groups for an optimizer: one for each glob of `groups`, and one for the rest.

    Each tensor is in the first group whose glob matches one of its names.

    Raises:
        WiringError: A glob matches no trainable parameter, or all that it matches is in groups before it.
    """
    found: dict[str, dict[int, nn.Parameter]] = {glob: {} for glob in groups or {}}
    rest: dict[int, nn.Parameter] = {}
    for glob in found:
        select(trainable, [glob], key)
    names: dict[int, list[str]] = {}
    for name, parameter in trainable.items():
        names.setdefault(id(parameter), []).append(name)
    for parameter in trainable.values():
        own = names[id(parameter)]
        home = next((found[glob] for glob in found if any(matches(name, glob) for name in own)), rest)
        home[id(parameter)] = parameter
    for glob, group in found.items():
        if not group:
            message = f"all that the glob '{glob}' matches is in groups before it"
            raise WiringError(message, key=key)
    listed = [{"params": list(group.values()), **(groups or {})[glob]} for glob, group in found.items()]
    return ([{"params": list(rest.values())}] if rest else []) + listed


def verify_groups(optimizer: Optimizer, trainable: Named, frozen: Named) -> None:
    """Verify that each trainable tensor is in exactly one group and no frozen one is in any.

    Raises:
        TrainingError: A tensor is not; the message names it.
    """
    counts: dict[int, int] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            counts[id(parameter)] = counts.get(id(parameter), 0) + 1
    missing = [name for name, parameter in trainable.items() if counts.get(id(parameter), 0) == 0]
    twice = [name for name, parameter in trainable.items() if counts.get(id(parameter), 0) > 1]
    learning = {id(parameter) for parameter in trainable.values()}
    strange = [name for name, parameter in frozen.items() if id(parameter) in counts and id(parameter) not in learning]
    for names, what in ((missing, "in no group"), (twice, "in two groups"), (strange, "frozen, yet in a group")):
        if names:
            message = f"these tensors are {what} of the optimizer: {shorten(names)}"
            raise TrainingError(message)


def shorten(names: Sequence[str], limit: int = 6) -> str:
    """Return the first names and the number of the others."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def warn_without_gradient(trainable: Named, stage: int, separate: Container[Tensor] = ()) -> None:
    """Log the tensors without a gradient (a separate one included); called after the first gradients of a stage."""
    without = [name for name, parameter in trainable.items() if parameter.grad is None and parameter not in separate]
    if without:
        logger.warning(
            "no loss reaches these trainable tensors, which will not learn in stage %d: %s", stage, shorten(without)
        )
