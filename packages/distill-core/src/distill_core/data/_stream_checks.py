"""Checks of whether a stream continues with the same samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..tree import children

_HUGGING_FACE = "datasets.iterable_dataset"


def has_shuffle_buffer(dataset: Any) -> bool:
    """Return whether a stream of `datasets` draws from a shuffle buffer; its `state_dict` omits the content of the buffer."""
    return any(type(part).__name__ == "BufferShuffledExamplesIterable" for part in _nested(dataset))


def _nested(part: Any) -> Iterator[Any]:
    """Yield the iterables of `datasets` that a stream consists of."""
    listed = part if isinstance(part, list | tuple) else [part]
    for each in listed:
        if any(kind.__module__ == _HUGGING_FACE for kind in type(each).__mro__):
            yield each
            for value in vars(each).values():
                yield from _nested(value)


def is_equal(one: Any, other: Any) -> bool:
    """Return whether two batches have the same content."""
    parts, others = children(one), children(other)
    if parts is not None and others is not None:
        return parts.keys() == others.keys() and all(is_equal(parts[name], others[name]) for name in parts)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and bool(torch.equal(one, other))
    return bool(one == other)
