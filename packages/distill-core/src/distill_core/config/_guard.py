"""The guard: judges names as they are written, and objects by the module to which they really belong."""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import nearest
from ._model_folder import FolderCode, code_of
from ._policy import (
    AREAS,
    EXACT,
    OURS,
    argument_refusal,
    is_allowed,
    is_importable,
    is_method_allowed,
    refusal,
    untrustable,
)

_PLAIN = (type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range, slice)
_READ_MODELS = ("distill_nlp", "transformers", "peft", "timm", "torchmetrics")
_TIMM_FOLDER = "local-dir:"
_BUILTIN_KINDS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)


class UntrustedError(Exception):
    """The guard says no; `hint` says what would help."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotFoundError(Exception):
    """There is nothing of that name; `hint` has the nearest."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def judge_path(path: str, trust: Sequence[str]) -> None:
    """Judge a path as it is written; `UntrustedError` if nothing of that name may be imported."""
    for segment in path.split("."):
        if segment.startswith("_"):
            message = f"'{path}' goes through the underscore name '{segment}'"
            raise UntrustedError(message, "name what the package exports")
    judge_name(path, path, trust, only_root=True)


def judge_name(path: str, real: str, trust: Sequence[str], *, only_root: bool = False) -> None:
    """Judge what `path` really is; `UntrustedError` if it is outside what is trusted."""
    called = f"'{path}'" if path == real else f"'{path}' is really {real}, which"
    if reason := refusal(real):
        message = f"{called} is refused: {reason}"
        raise UntrustedError(message)
    if only_root:
        if is_importable(real, trust):
            return
    elif is_allowed(real, trust):
        return
    root = real.partition(".")[0]
    if is_importable(real, trust):
        close = nearest(real, _allowed_like(real))
        hint = (
            f"did you mean '{close}'?"
            if close
            else f"'--trust {real.rpartition('.')[0]}' opens it, if you trust the file"
        )
        message = f"{called} is not among the parts of {root} that a config may name"
        raise UntrustedError(message, hint)
    message = f"{called} is outside the trusted packages"
    raise UntrustedError(message, trust_hint(root))


def _allowed_like(name: str) -> list[str]:
    """Names that may be meant: single ones, and the same name in each area."""
    root, parts = name.partition(".")[0], name.split(".")
    areas = [area for area in AREAS if area.startswith(f"{root}.") and "._" not in area]
    inside = [".".join([area, *parts[area.count(".") + 1 :]]) for area in areas if len(parts) > area.count(".") + 1]
    return [known for known in (*EXACT, *inside) if known.startswith(f"{root}.")]


def trust_hint(root: str) -> str:
    """What to do about a package that is not trusted."""
    return "" if untrustable([root]) else f"'--trust {root}' opens it, if you trust its code"


def real_name(thing: Any) -> str:
    """Where a function, class or method is really defined: `torch.nn.modules.linear.Linear`."""
    if isinstance(thing, types.MethodType):
        return real_name(thing.__func__)
    owner: Any = getattr(thing, "__objclass__", None) or getattr(thing, "__self__", None)
    if isinstance(owner, types.ModuleType):
        return f"{owner.__name__}.{thing.__name__}"
    if isinstance(thing, _BUILTIN_KINDS) and owner is not None:
        cls = owner if isinstance(owner, type) else type(owner)
        return f"{cls.__module__}.{cls.__qualname__}.{thing.__name__}"
    module = getattr(thing, "__module__", None) or "?"
    return f"{module}.{thing.__qualname__.removeprefix('_VariableFunctionsClass.')}"


def judge(path: str, thing: Any, trust: Sequence[str]) -> None:
    """Judge an object that a config reaches under the name `path`."""
    if isinstance(thing, types.ModuleType):
        message = f"'{path}' is a module, not an object"
        raise UntrustedError(message, "name something in it")
    if type(thing) in _PLAIN:
        return
    if isinstance(thing, functools.partial):
        judge(path, thing.func, trust)
        return
    if isinstance(thing, (type, types.FunctionType, types.MethodType, *_BUILTIN_KINDS)):
        _judge_callable(path, thing, trust)
        return
    cls = type(thing)
    kind = f"{cls.__module__}.{cls.__qualname__}"
    if kind.startswith(("torch.", "numpy.")) and kind.count(".") == 1:  # tensors, dtypes, devices
        return
    if isinstance(thing, enum.Enum) or is_allowed(kind, trust):
        judge_name(path, kind, trust)
        return
    message = f"'{path}' is an object of class {kind}, outside the trusted packages"
    raise UntrustedError(message)


def _judge_callable(path: str, thing: Any, trust: Sequence[str]) -> None:
    real = real_name(thing)
    owner, _, name = real.rpartition(".")
    if isinstance(thing, types.BuiltinFunctionType) and path == f"torch.nn.functional.{name}" and owner == "torch":
        return  # conv2d and others are torch's own functions under a second name
    if not (isinstance(thing, _BUILTIN_KINDS) and (owner == "torch._C.TensorBase" or owner in EXACT)):
        judge_name(path, real, trust)
        if isinstance(thing, type) or "." not in thing.__qualname__.rpartition("<locals>.")[2]:
            return
    if not is_method_allowed(owner, name) and not is_own(owner, trust):
        message = f"the method '{name}' of {owner} is not one that a config may use"
        raise UntrustedError(message)


def is_own(name: str, trust: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in trust)


def install_hint(name: str) -> str:
    """How to install a package of ours."""
    return f"pip install {name.replace('_', '-')}" if name in OURS else ""


def judge_call(thing: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments such as `trust_remote_code=True`, by name or position, also inside lists and mappings.

    A folder that a library of models is to read must not bring code.
    """
    if thing is functools.partial and args:
        thing, args = args[0], args[1:]
    if isinstance(thing, functools.partial):
        thing, args, kwargs = thing.func, (*thing.args, *args), {**thing.keywords, **kwargs}
    callee = real_name(thing if hasattr(thing, "__qualname__") else type(thing))
    judge_values((*args, *kwargs.values()), {**_by_position(thing, args), **kwargs}, callee)
    _ask_nothing()
    for value in (*args, *kwargs.values()):
        if found := folder_code(callee, value):
            raise UntrustedError(*found)


def folder_code(callee: str, value: object) -> FolderCode | None:
    """What a folder must not bring, if `value` is a folder and `callee` belongs to a library that reads models."""
    if callee.partition(".")[0] not in _READ_MODELS or not isinstance(value, (str, Path)):
        return None
    return code_of(str(value).removeprefix(_TIMM_FOLDER))


def judge_values(values: Iterable[Any], named: Mapping[str, Any], callee: str = "") -> None:
    """Refuse what the table of arguments does not allow, at any depth."""
    for name, value in named.items():
        if reason := argument_refusal(name, value, callee):
            shown = str(value).lower() if isinstance(value, bool) else value
            message = f"'{name}: {shown}' is refused: {reason}"
            raise UntrustedError(message)
    for value in values:
        if isinstance(value, dict):
            judge_values(value.values(), {str(key): item for key, item in value.items()})
        elif isinstance(value, (list, tuple)):
            judge_values(value, {})


def _by_position(thing: Any, args: Sequence[Any]) -> dict[str, Any]:
    """The names of arguments that are given by position, as far as the signature has them."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return {}
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [item.name for item in parameters if item.kind in by_position]
    return dict(zip(names, args, strict=False))


def _ask_nothing() -> None:
    """Transformers raises instead of asking on the terminal whether to run the code of a repository."""
    if module := sys.modules.get("transformers.dynamic_module_utils"):
        module.TIME_OUT_REMOTE_CODE = 0  # type: ignore[attr-defined]
