"""Modules of a model by their path."""

from __future__ import annotations

import re
from typing import NoReturn

from torch import nn

from ..errors import WiringError, did_you_mean, nearest
from ..taps import Tap

_NEGATIVE = re.compile(r"-[0-9]{1,9}")
_MAX_NAMES = 12
"""Number of names that a hint lists."""


def parse_address(address: object, model: str) -> Tap:
    """Return the tap of an address relative to a model: `layer1:in`, or an empty string for the model's output.

    Raises:
        WiringError: If the address is malformed.
    """
    if not isinstance(address, str):
        message = f"{address!r} is not an address"
        raise WiringError(message, hint="write it like 'layer1', 'layer1:in' or '' for the model's output")
    return Tap.parse(f"{model}.{address}" if address and not address.startswith(":") else f"{model}{address}")


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside `torch.compile`, `DistributedDataParallel` and `DataParallel`."""
    is_parallel = isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel)
    inner = _children(model).get("module" if is_parallel else "_orig_mod")
    return model if inner is None else unwrap(inner)


def module_names(model: nn.Module) -> list[str]:
    """Return the paths of all modules inside `model`, in the order of their definition.

    >>> module_names(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU())))
    ['0', '1', '1.0']
    """
    return [name for name, _ in unwrap(model).named_modules() if name]


def resolve(model: nn.Module, path: str, name: str = "") -> nn.Module:
    """Return the module at `path`; an empty path is the model, a negative index counts from the end of a container.

    Args:
        model: The model; wrappers of `torch.compile` and data parallelism are ignored.
        path: `layer1.0.bn2`, `layer1.-1`.
        name: The model's name in an experiment, for the message.

    Raises:
        WiringError: If the module does not exist; the hint has the nearest name.

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
        module = unwrap(module)  # a submodule may be compiled separately
    children = _children(module)
    if _NEGATIVE.fullmatch(part) and isinstance(module, nn.Sequential | nn.ModuleList):
        return list(children.values())[int(part)] if -int(part) <= len(children) else None
    return children.get(part)


def _children(module: nn.Module) -> dict[str, nn.Module | None]:
    return module._modules  # noqa: SLF001 - `named_children` omits a module's second name


def _refuse(model: nn.Module, found: nn.Module, path: str, depth: int, name: str) -> NoReturn:
    kind = type(model).__name__
    message = f"{name} ({kind}) has no module {path!r}" if name else f"{kind} has no module {path!r}"
    raise WiringError(message, hint=_hint(model, found, path.split("."), depth))


def _hint(model: nn.Module, found: nn.Module, parts: list[str], depth: int) -> str:
    """Return what to write instead of `parts[depth]`, which `found` does not have."""
    prefix, part = ".".join(parts[:depth]), parts[depth]
    owner = f"{prefix!r} ({type(found).__name__})" if prefix else f"a {type(found).__name__}"
    children = list(_children(unwrap(found)))
    if not children:
        return f"{owner} has no modules inside"
    if part.lstrip("-").isdigit() and isinstance(found, nn.Sequential | nn.ModuleList):
        return f"{owner} has {len(children)} modules"
    names = module_names(model)
    if child := nearest(part, children):
        close = ".".join([*parts[:depth], child])
        complete = ".".join([close, *parts[depth + 1 :]])
        return f"did you mean '{complete if complete in names else close}'?"
    if close := nearest(".".join(parts), names):
        return f"did you mean '{close}'?"
    full = [".".join([*parts[:depth], child]) for child in children[:_MAX_NAMES]]
    return did_you_mean("", full) + (", …" if len(children) > _MAX_NAMES else "")
