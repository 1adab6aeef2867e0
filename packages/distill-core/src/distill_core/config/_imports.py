"""Import path → object, and object → attribute, past the guard.

A name is judged twice: as it is written, before anything is imported, and by the module to which the object that was
found really belongs.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Sequence
from typing import Any

from ..errors import nearest
from ._guard import NotFoundError, UntrustedError, install_hint, is_own, judge, judge_name, judge_path, trust_hint
from ._policy import EXACT, is_importable, is_method_allowed, leads_to_area, refusal


def find(path: str, trust: Sequence[str]) -> Any:
    """Import what `path` names.

    Raises:
        UntrustedError: It is outside what is trusted.
        NotFoundError: There is no such thing.
    """
    judge_path(path, trust)
    parts = path.split(".")
    thing: Any = _import(parts[0])
    for number, part in enumerate(parts[1:], start=2):
        here = ".".join(parts[:number])
        if refusal(here):
            judge_path(here, trust)
        thing = _step(thing, part, here, trust)
        if number < len(parts) and isinstance(thing, types.FunctionType):
            thing = sys.modules.get(here, thing)  # the path goes on: through the module, not the function of its name
        if isinstance(thing, types.ModuleType) and number < len(parts):
            _judge_module(path, thing, trust)
    if path not in EXACT:
        judge(path, thing, trust)
    return thing


def _judge_module(path: str, module: types.ModuleType, trust: Sequence[str]) -> None:
    name = module.__name__
    if reason := refusal(name):
        message = f"'{path}' goes through {name}, which is refused: {reason}"
        raise UntrustedError(message)
    if not is_importable(name, trust):
        message = f"'{path}' goes through the foreign module {name}"
        raise UntrustedError(message, trust_hint(name.partition(".")[0]))


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        message = f"there is no module '{name}'"
        raise NotFoundError(message, install_hint(name)) from None


def _step(thing: Any, part: str, here: str, trust: Sequence[str]) -> Any:
    """The attribute or submodule `part`."""
    if not isinstance(thing, types.ModuleType):
        return attribute(thing, part, trust)
    try:
        return getattr(thing, part)
    except AttributeError:
        pass
    if here.rpartition(".")[0] == thing.__name__ and hasattr(thing, "__path__"):
        if not leads_to_area(here, trust):
            judge_name(here, here, trust)
        try:
            return importlib.import_module(here)
        except ModuleNotFoundError as error:
            if error.name != here:
                raise
    close = nearest(part, [name for name in dir(thing) if not name.startswith("_")])
    message = f"'{thing.__name__}' has no '{part}'"
    raise NotFoundError(message, f"did you mean '{close}'?" if close else "")


def attribute(owner: Any, name: str, trust: Sequence[str], *default: Any) -> Any:
    """`getattr` past the guard.

    Raises:
        UntrustedError: The object or the attribute is not one that a config may reach.
        NotFoundError: There is no such attribute, and no default.
    """
    if name.startswith("_"):
        message = f"'{name}' is an underscore name"
        raise UntrustedError(message)
    if isinstance(owner, types.ModuleType):
        message = f"'{owner.__name__}' is a module, not an object"
        raise UntrustedError(message, "name something in it")
    cls = owner if isinstance(owner, type) else type(owner)
    kind = f"{cls.__module__}.{cls.__qualname__}"
    if any(f"{base.__module__}.{base.__qualname__}" == _TENSOR for base in cls.__mro__):
        kind = _TENSOR
    if not is_method_allowed(kind, name) and not is_own(kind, trust):
        message = f"'{name}' of {kind} is not one that a config may use"
        raise UntrustedError(message)
    if kind != _TENSOR:
        judge_name(kind, kind, trust)
    try:
        value = getattr(owner, name)
    except AttributeError:
        if default:
            return default[0]
        close = nearest(name, [known for known in dir(owner) if not known.startswith("_")])
        message = f"{kind} has no '{name}'"
        raise NotFoundError(message, f"did you mean '{close}'?" if close else "") from None
    judge(f"{kind}.{name}", value, trust)
    return value


_TENSOR = "torch.Tensor"
