"""Checks of whether a stream continues with the same samples, and is the same in all processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from ..distributed import world_size
from ..errors import DataError
from ..tree import children
from ._mapped_stream import MappedStream

_HUGGING_FACE = "datasets.iterable_dataset"


def has_shuffle_buffer(dataset: Any) -> bool:
    """Return whether a stream of `datasets` draws from a shuffle buffer; its `state_dict` omits the content of the buffer."""
    if isinstance(dataset, MappedStream):
        return has_shuffle_buffer(dataset.source)
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


def check_same_in_all_processes(items: list[Any], dataset: Any) -> None:
    """Check that all processes read the same items. A collective operation.

    Args:
        items: The first items that this process has read.
        dataset: The stream.

    Raises:
        DataError: The stream is split among processes.
    """
    digests: list[Any] = [None] * world_size()
    dist.all_gather_object(digests, _digest(items))
    if len(set(digests)) > 1:
        message = f"{type(dataset).__name__} yields other samples in each process, and a Stream splits them itself"
        raise DataError(message, hint="let it yield all samples in every process, without a rank or DistributedSampler")


def _digest(value: Any) -> str:
    """Return a hash of the tensors, arrays, numbers and texts of a value."""
    total = hashlib.sha256()
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, Tensor):
            flat = each.detach().cpu().contiguous().flatten()
            total.update(f"{each.dtype} {tuple(each.shape)}".encode())
            total.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        elif (parts := children(each)) is not None:
            pending += list(parts.values())
        elif isinstance(each, np.ndarray):
            total.update(each.tobytes())
        elif isinstance(each, str | bytes | int | float | bool):
            total.update(repr(each).encode())
    return total.hexdigest()
