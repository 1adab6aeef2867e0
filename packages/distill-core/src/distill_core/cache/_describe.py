"""Hashes of ordinary objects: class, source and content, never an address in memory."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
import json
import re
import types
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._key import bytes_of

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LONG = 1000
_PLAIN = (type(None), bool, int, float, complex, str, bytes, enum.Enum, PurePath, torch.dtype, torch.device, torch.Size)


def describe(value: Any) -> str:
    """Return the SHA-256 of an object by content: transforms, datasets, functions with their arguments, tensors.

    The source code of functions and classes is included, so that an edited transform has another hash.

    >>> describe(functools.partial(sorted, reverse=True)) == describe(functools.partial(sorted, reverse=True))
    True
    >>> describe(functools.partial(sorted, reverse=True)) == describe(functools.partial(sorted, reverse=False))
    False
    """
    total = hashlib.sha256()
    _feed(value, total.update, set())
    return total.hexdigest()


def _feed(value: Any, update: Callable[[bytes], object], seen: set[int]) -> None:
    update(f"<{type(value).__module__}.{type(value).__qualname__}".encode())
    if isinstance(value, _PLAIN):
        update(repr(value).encode())
    elif id(value) in seen:
        update(b"again")
    else:
        seen.add(id(value))
        _feed_content(value, update, seen)
        seen.discard(id(value))
    update(b">")


def _feed_content(value: Any, update: Callable[[bytes], object], seen: set[int]) -> None:
    if isinstance(value, Tensor):
        update(f"{value.dtype} {tuple(value.shape)}".encode())
        update(bytes_of(value))
    elif isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array_interface__"):
        array = np.asarray(value)
        update(f"{array.dtype} {array.shape}".encode())
        update(repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes())
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _feed(key, update, seen)
            _feed(part, update, seen)
    elif isinstance(value, list | tuple):
        _feed_list(value, update, seen)
    elif isinstance(value, set | frozenset):
        update(repr(sorted(map(repr, value))).encode())
    elif isinstance(value, functools.partial):
        for part in (value.func, value.args, value.keywords):
            _feed(part, update, seen)
    elif isinstance(value, type | types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        _feed_callable(value, update, seen)
    else:
        _feed_object(value, update, seen)


def _feed_list(value: Any, update: Callable[[bytes], object], seen: set[int]) -> None:
    update(str(len(value)).encode())
    if len(value) > _LONG:
        try:
            update(json.dumps(value).encode())  # fast for a list of a million paths
        except (TypeError, ValueError):
            pass
        else:
            return
    for part in value:
        _feed(part, update, seen)


def _feed_callable(value: Any, update: Callable[[bytes], object], seen: set[int]) -> None:
    update(f"{value.__module__}.{value.__qualname__}".encode())
    update(source_of(value).encode())
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        for part in (cells, value.__defaults__, value.__kwdefaults__):
            _feed(part, update, seen)
    elif isinstance(value, types.MethodType):
        _feed(value.__self__, update, seen)


def _feed_object(value: Any, update: Callable[[bytes], object], seen: set[int]) -> None:
    update(source_of(type(value)).encode())
    if isinstance(fingerprint := getattr(value, "_fingerprint", None), str):  # Hugging Face's own hash of a dataset
        update(fingerprint.encode())
    elif isinstance(value, nn.Module):
        update(_ADDRESS.sub("", repr(value)).encode())
        hidden = vars(nn.Module()).keys()
        own = {name: part for name, part in vars(value).items() if name not in hidden}
        _feed({**own, **value._modules, **value.state_dict()}, update, seen)  # noqa: SLF001
    elif dataclasses.is_dataclass(value):
        _feed({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, update, seen)
    elif hasattr(value, "__dict__"):
        _feed(vars(value), update, seen)
    else:
        update(_ADDRESS.sub("", repr(value)).encode())


def source_of(thing: Any) -> str:
    """Return the source of a class or function; empty if it has none or belongs to torch."""
    return _source_of(thing)


@functools.cache
def _source_of(thing: Any) -> str:
    if getattr(thing, "__module__", "").partition(".")[0] in ("torch", "builtins"):
        return ""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return ""


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
