"""Import of objects by path, and access to their attributes, checked by the guard.

A name is checked twice: as it is written, before anything is imported, and by the module that defines the object.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Sequence
from typing import Any

from ..errors import Problem, did_you_mean
from ._guard import (
    install_hint,
    is_own,
    judge,
    judge_name,
    judge_path,
    trust_hint,
)
from ._problems import NotFoundError, TrustProblem, UntrustedError
from ._refusals import attribute_private, method_refused, module_refused, name_missing
from .policy import EXACT, is_importable, is_method_allowed, leads_to_area, refusal


def find(path: str, trust: Sequence[str]) -> Any:
    """Import the object that `path` names.

    Raises:
        UntrustedError: It is outside the trusted packages.
        NotFoundError: It does not exist.
    """
    judge_path(path, trust)
    parts = path.split(".")
    thing: Any = _import(parts[0])
    for depth, name in enumerate(parts[1:], start=2):
        here = ".".join(parts[:depth])
        if refusal(here):
            judge_path(here, trust)
        thing = _step(thing, name, here, trust)
        if depth < len(parts) and isinstance(thing, types.FunctionType):
            thing = sys.modules.get(
                here, thing
            )  # the path continues in the module, not in the function of the same name
        if isinstance(thing, types.ModuleType) and depth < len(parts):
            _judge_module(path, thing, trust)
    if path not in EXACT:
        judge(path, thing, trust)
    return thing


def _judge_module(path: str, module: types.ModuleType, trust: Sequence[str]) -> None:
    name = module.__name__
    if reason := refusal(name):
        message = f"'{path}' passes through {name}, which is refused: {reason}"
        raise UntrustedError(TrustProblem(message, id="refused-module"))
    if not is_importable(name, trust):
        message = f"'{path}' passes through {name}, which is outside the trusted packages"
        raise UntrustedError(TrustProblem(message, hint=trust_hint(name.partition(".")[0]), id="untrusted-module"))


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        message = f"there is no module '{name}'"
        raise NotFoundError(Problem(message, hint=install_hint(name), id="module-missing")) from None


def _step(thing: Any, name: str, here: str, trust: Sequence[str]) -> Any:
    """Return the attribute or submodule `name`."""
    if not isinstance(thing, types.ModuleType):
        return attribute(thing, name, trust)
    try:
        return getattr(thing, name)
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
    raise name_missing(thing.__name__, name, _public(thing))


def _public(thing: Any) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


def attribute(owner: Any, name: str, trust: Sequence[str], *default: Any) -> Any:
    """Return an attribute, checked by the guard.

    Raises:
        UntrustedError: A config may not reach the object or the attribute.
        NotFoundError: The attribute does not exist, and no default is given.
    """
    if name.startswith("_"):
        raise attribute_private(name)
    if isinstance(owner, types.ModuleType):
        raise module_refused(owner.__name__)
    cls = owner if isinstance(owner, type) else type(owner)
    kind = f"{cls.__module__}.{cls.__qualname__}"
    if any(f"{base.__module__}.{base.__qualname__}" == _TENSOR for base in cls.__mro__):
        kind = _TENSOR
    if not is_method_allowed(kind, name) and not is_own(kind, trust):
        raise method_refused(kind, name)
    if kind != _TENSOR:
        judge_name(kind, kind, trust)
    try:
        value = getattr(owner, name)
    except AttributeError:
        if default:
            return default[0]
        message, hint = f"{kind} has no attribute '{name}'", did_you_mean(name, _public(owner), otherwise="")
        raise NotFoundError(Problem(message, hint=hint, id="attribute-missing")) from None
    judge(f"{kind}.{name}", value, trust)
    return value


_TENSOR = "torch.Tensor"
