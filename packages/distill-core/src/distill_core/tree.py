"""Nested containers: batches, arguments of models and their outputs.

A container is a mapping, a list or another sequence, a tuple, a named tuple or a dataclass. Everything else is a leaf:
tensors, strings, numbers, None, objects of other classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

_NOT_CONTAINERS = (str, bytes, bytearray, memoryview, range)


def children(value: Any) -> dict[Any, Any] | None:
    """Return the parts of a container by key, field or index; None for a leaf.

    >>> children([3, "text"]), children({"a": 1}), children("text")
    ({0: 3, 1: 'text'}, {'a': 1}, None)
    """
    if isinstance(value, Tensor):
        return None
    if isinstance(value, Mapping):
        return dict(value.items())
    if isinstance(value, PackedSequence):  # torch keeps its batch_sizes on the CPU
        return {name: part for name, part in value._asdict().items() if name != "batch_sizes"}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if isinstance(value, Sequence):
        return None if isinstance(value, _NOT_CONTAINERS) else dict(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value) if hasattr(value, field.name)}
    return None


def map_leaves(value: Any, each: Callable[[Any], Any]) -> Any:
    """Return a structure like `value` with new containers of the same kinds and each leaf replaced.

    Containers are copied because a model may append to a list that one of its modules returned.
    """
    kind = type(value)
    if isinstance(value, Tensor):
        return each(value)
    if kind is tuple:
        return tuple([map_leaves(part, each) for part in value])
    if kind is list:
        return [map_leaves(part, each) for part in value]
    if kind is dict:
        return {key: map_leaves(part, each) for key, part in value.items()}
    parts = children(value)
    if parts is None:
        return each(value)
    return _rebuilt(value, {key: map_leaves(part, each) for key, part in parts.items()})


def map_tensors(value: Any, each: Callable[[Tensor], Any]) -> Any:
    """Return a structure like `value` with new containers and each tensor replaced; other leaves are shared."""
    return map_leaves(value, lambda leaf: each(leaf) if isinstance(leaf, Tensor) else leaf)


def tensors(value: Any) -> list[Tensor]:
    """Return all tensors of a structure, in order."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for part in (children(value) or {}).values() for tensor in tensors(part)]


def to_device(value: Any, device: torch.device | str) -> Any:
    """Return a structure with every tensor on the device, and every other leaf that has a method `to`."""

    def move(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return leaf.to(device, non_blocking=True)
        return leaf.to(device) if callable(getattr(leaf, "to", None)) else leaf

    return map_leaves(value, move)


def channels_last(value: Any) -> Any:
    """Return a structure whose tensors of four dimensions have their channels last in memory."""
    return map_tensors(
        value, lambda tensor: tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
    )


def _rebuilt(value: Any, parts: dict[Any, Any]) -> Any:
    """Return a container of the same kind with other parts."""
    if isinstance(value, Mapping):
        return _mapping(value, parts)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return value._replace(**parts)  # type: ignore[attr-defined]
    if isinstance(value, Sequence):
        return _sequence(value, list(parts.values()))
    record = copy.copy(value)
    for name, part in parts.items():
        object.__setattr__(record, name, part)
    return record


def _mapping(value: Mapping[Any, Any], parts: dict[Any, Any]) -> Any:
    if isinstance(value, MutableMapping):  # an OrderedDict, a Hugging Face ModelOutput
        mapping = copy.copy(value)
        for key, part in parts.items():
            mapping[key] = part
        return mapping
    return _constructed(type(value), parts)


def _sequence(value: Sequence[Any], parts: list[Any]) -> Any:
    if isinstance(value, MutableSequence):
        sequence = copy.copy(value)
        for index, part in enumerate(parts):
            sequence[index] = part
        return sequence
    return tuple(parts) if isinstance(value, torch.Size) else _constructed(type(value), parts)


def _constructed(kind: Callable[[Any], Any], parts: Any) -> Any:
    """Return a container of another class; a plain one if its constructor does not take the parts."""
    try:
        return kind(parts)
    except TypeError:
        return tuple(parts) if isinstance(parts, list) and issubclass(kind, tuple) else parts  # type: ignore[arg-type]
