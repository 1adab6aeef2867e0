"""The guard: checks names as they are written, and objects by the module that defines them."""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Problem, did_you_mean
from ._model_folder import code_of
from ._problems import TrustProblem, UntrustedError
from ._refusals import method_refused, module_refused, object_refused, reference_refused, value_refused
from .policy import (
    AREAS,
    EXACT,
    FOREIGN,
    OURS,
    argument_refusal,
    is_allowed,
    is_importable,
    is_method_allowed,
    is_only_called,
    refusal,
    untrustable,
)

_PLAIN = (type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range, slice)
_READ_MODELS = ("distill_nlp", "transformers", "peft", "timm", "torchmetrics")
_TIMM_FOLDER = "local-dir:"
_BUILTIN_KINDS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)


def judge_path(path: str, trust: Sequence[str]) -> None:
    """Check an import path as it is written.

    Raises:
        UntrustedError: Nothing of that name may be imported.
    """
    for segment in path.split("."):
        if segment.startswith("_"):
            message = f"'{path}' contains the private name '{segment}'"
            raise UntrustedError(TrustProblem(message, hint="use a name that the package exports", id="private-name"))
    judge_name(path, path, trust, only_root=True)


def judge_name(path: str, real: str, trust: Sequence[str], *, only_root: bool = False) -> None:
    """Check the real name of the object that `path` names.

    Raises:
        UntrustedError: It is outside the trusted packages.
    """
    called = f"'{path}'" if path == real else f"'{path}' is defined as {real}, which"
    if reason := refusal(real):
        message = f"{called} is refused: {reason}"
        raise UntrustedError(TrustProblem(message, id="refused-name"))
    if only_root:
        if is_importable(real, trust):
            return
    elif is_allowed(real, trust):
        return
    root = real.partition(".")[0]
    if is_importable(real, trust):
        message = f"{called} is not among the parts of {root} that a config may name"
        to_trust = f"add '--trust {real.rpartition('.')[0]}' if you trust the file"
        hint = did_you_mean(real, _allowed_like(real), otherwise=to_trust)
        raise UntrustedError(TrustProblem(message, hint=hint, id="name-not-allowed"))
    message = f"{called} is outside the trusted packages"
    raise UntrustedError(TrustProblem(message, hint=trust_hint(root), id="untrusted-package"))


def _allowed_like(name: str) -> list[str]:
    """Return names that may be meant: single ones, and the same name in each area."""
    root, parts = name.partition(".")[0], name.split(".")
    areas = [area for area in AREAS if area.startswith(f"{root}.") and "._" not in area]
    inside = [".".join([area, *parts[area.count(".") + 1 :]]) for area in areas if len(parts) > area.count(".") + 1]
    return [known for known in (*EXACT, *inside) if known.startswith(f"{root}.")]


def trust_hint(root: str) -> str:
    """Return the hint for a package that is not trusted; empty if it cannot be."""
    return "" if untrustable([root]) else f"add '--trust {root}' if you trust its code"


def trust_problems(trust: Sequence[str]) -> list[Problem]:
    """Return a problem for each name in `--trust` that cannot be trusted."""
    return [
        TrustProblem(f"'--trust {name}' is not allowed: {reason}", id="trust-not-allowed")
        for name, reason in untrustable(trust).items()
    ]


def real_name(thing: Any) -> str:
    """Return where a function, class or method is defined, or an object's class: `torch.nn.modules.linear.Linear`."""
    if not hasattr(thing, "__qualname__"):
        return real_name(type(thing))
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
    """Check an object that a config reaches under the name `path`.

    Raises:
        UntrustedError: It is a module, or its class or definition is outside the trusted packages.
    """
    if isinstance(thing, types.ModuleType):
        raise module_refused(path)
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
    raise object_refused(kind, path)


def _judge_callable(path: str, thing: Any, trust: Sequence[str]) -> None:
    real = real_name(thing)
    owner, _, name = real.rpartition(".")
    if isinstance(thing, types.BuiltinFunctionType) and path == f"torch.nn.functional.{name}" and owner == "torch":
        return  # functions such as conv2d, under their second name
    if not (isinstance(thing, _BUILTIN_KINDS) and (owner == "torch._C.TensorBase" or owner in EXACT)):
        judge_name(path, real, trust)
        if isinstance(thing, type) or "." not in thing.__qualname__.rpartition("<locals>.")[2]:
            return
    if not is_method_allowed(owner, name) and not is_own(owner, trust):
        raise method_refused(owner, name)


def judge_tag(tag: str, path: str, real: str, trust: Sequence[str]) -> None:
    """Check the tag of a path.

    Raises:
        UntrustedError: It does not call a function that a config may only call.
    """
    if tag != "import_call" and is_only_called(real, trust):
        raise reference_refused(path)


def is_own(name: str, trust: Sequence[str]) -> bool:
    """Return whether a name belongs to a package that the user trusts."""
    return any(name == package or name.startswith(f"{package}.") for package in trust)


def install_hint(name: str) -> str:
    """Return the hint for a trusted package that is not installed; empty for other packages."""
    return f"pip install {name.replace('_', '-')}" if name in (*OURS, *FOREIGN) else ""


def judge_call(thing: Any, args: Sequence[Any], kwargs: Mapping[str, Any], trust: Sequence[str] = ()) -> None:
    """Refuse arguments such as `trust_remote_code=True`, by name or position, also inside lists and mappings.

    A model folder that contains code is refused too.

    Raises:
        UntrustedError: An argument is refused.
    """
    if thing is functools.partial and args:
        thing, args = args[0], args[1:]
    if isinstance(thing, functools.partial):
        thing, args, kwargs = thing.func, (*thing.args, *args), {**thing.keywords, **kwargs}
    callee = real_name(thing)
    judge_values((*args, *kwargs.values()), {**_by_position(thing, args), **kwargs}, callee, trust)
    _disable_prompts()
    for value in (*args, *kwargs.values()):
        if found := folder_code(callee, value):
            raise found


def folder_code(callee: str, value: object) -> UntrustedError | None:
    """Return the error for code in a folder that `callee` would load; None if it loads none."""
    if callee.partition(".")[0] not in _READ_MODELS or not isinstance(value, (str, Path)):
        return None
    return code_of(str(value).removeprefix(_TIMM_FOLDER))


def judge_values(values: Iterable[Any], named: Mapping[str, Any], callee: str = "", trust: Sequence[str] = ()) -> None:
    """Refuse values that the policy's table of arguments does not allow, at any depth."""
    for name, value in named.items():
        if reason := argument_refusal(name, value, callee, trust):
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            raise value_refused(name, shown, reason)
    for value in values:
        if isinstance(value, dict):
            judge_values(value.values(), {str(key): item for key, item in value.items()})
        elif isinstance(value, (list, tuple)):
            judge_values(value, {})


def _by_position(thing: Any, args: Sequence[Any]) -> dict[str, Any]:
    """Return positional arguments by name, as far as the signature has names for them."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return {}
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [item.name for item in parameters if item.kind in by_position]
    return dict(zip(names, args, strict=False))


def _disable_prompts() -> None:
    """Make transformers raise instead of asking on the terminal whether to run a repository's code."""
    if module := sys.modules.get("transformers.dynamic_module_utils"):
        module.TIME_OUT_REMOTE_CODE = 0  # type: ignore[attr-defined]
