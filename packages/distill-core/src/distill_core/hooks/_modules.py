"""Find a module by its path, or say which modules there are."""

from __future__ import annotations

import re
from typing import NoReturn

from torch import nn

from ..errors import WiringError, did_you_mean, nearest

_NEGATIVE = re.compile(r"-[0-9]{1,9}")
_MOST_NAMES = 12  # more names than this in a hint help nobody


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside `torch.compile`, `DistributedDataParallel` and `DataParallel`."""
    is_parallel = isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel)
    inner = _children(model).get("module" if is_parallel else "_orig_mod")
    return model if inner is None else unwrap(inner)


def module_names(model: nn.Module) -> list[str]:
    """The paths of all modules inside `model`, in the order of their definition.

    >>> module_names(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU())))
    ['0', '1', '1.0']
    """
    return [name for name, _ in unwrap(model).named_modules() if name]


def resolve(model: nn.Module, path: str, name: str = "") -> nn.Module:
    """The module at `path`; an empty path is the model itself, a negative index counts from the end of a container.

    Args:
        model: The model; what `torch.compile` and data parallelism wrap around it is looked through.
        path: `layer1.0.bn2`, `layer1.-1`.
        name: What the model is called in an experiment, for the message.

    Raises:
        WiringError: If there is no such module; the message has the nearest one.

    >>> resolve(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), "-1")
    ReLU()
    """
    model = unwrap(model)
    found = model
    for depth, part in enumerate(path.split(".") if path else ()):
        child = _child(found, part)
        if child is None:
            _refuse(model, found, path, depth, name)
        found = child
    return found


def _child(module: nn.Module, part: str) -> nn.Module | None:
    if part not in _children(module):
        module = unwrap(module)  # a part of the model may be compiled on its own
    children = _children(module)
    if _NEGATIVE.fullmatch(part) and isinstance(module, nn.Sequential | nn.ModuleList):
        return list(children.values())[int(part)] if -int(part) <= len(children) else None
    return children.get(part)


def _children(module: nn.Module) -> dict[str, nn.Module | None]:
    return module._modules  # noqa: SLF001 - `named_children` leaves out a module's second name


def _refuse(model: nn.Module, found: nn.Module, path: str, depth: int, name: str) -> NoReturn:
    kind = type(model).__name__
    message = f"{name} ({kind}) has no module {path!r}" if name else f"{kind} has no module {path!r}"
    raise WiringError(message, hint=_hint(model, found, path.split("."), depth))


def _hint(model: nn.Module, found: nn.Module, parts: list[str], depth: int) -> str:
    """What to write instead of `parts[depth]`, which `found` does not have."""
    prefix, part = ".".join(parts[:depth]), parts[depth]
    place = f"{prefix!r} ({type(found).__name__})" if prefix else f"a {type(found).__name__}"
    children = list(_children(unwrap(found)))
    if not children:
        return f"{place} has no modules inside"
    if part.lstrip("-").isdigit() and isinstance(found, nn.Sequential | nn.ModuleList):
        return f"{place} has {len(children)} modules"
    names = module_names(model)
    if child := nearest(part, children):
        close = ".".join([*parts[:depth], child])
        whole = ".".join([close, *parts[depth + 1 :]])
        return f"did you mean '{whole if whole in names else close}'?"
    if close := nearest(".".join(parts), names):
        return f"did you mean '{close}'?"
    full = [".".join([*parts[:depth], child]) for child in children[:_MOST_NAMES]]
    return did_you_mean("", full) + (", …" if len(children) > _MOST_NAMES else "")
