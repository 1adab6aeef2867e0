"""Nested state (dicts, lists, numbers, tensors) as named tensors plus JSON, and back; no pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from ...distributed import is_dtensor, rank
from ...errors import TrainingError
from ...weights import memory
from ..parallel import ShardWriter


def pack(
    state: Any, buffers: Mapping[str, Tensor] | None = None, shards: ShardWriter | None = None
) -> tuple[dict[str, Tensor], Any]:
    """Split a nest into copies of its tensors by path and a JSON value that says where they belong.

    Tied tensors are kept once, by the first path. Nothing of the result shares memory with the nest.

    Args:
        state: The nest.
        buffers: Tensors of an earlier nest, which are overwritten where path, shape and dtype are the same: copying into
            memory that is in use already is faster.
        shards: Copies this process's shards of sharded tensors. Only the main process copies other tensors.

    Raises:
        TrainingError: It holds something that is neither a tensor nor plain data.

    >>> import torch
    >>> tensors, tree = pack({"step": 3, "buffer": torch.zeros(2)})
    >>> sorted(tensors), tree
    (['buffer'], {'step': 3, 'buffer': {'$tensor': 'buffer'}})
    """
    copies = _Copies(buffers or {}, shards)
    return copies.tensors, _pack(state, "", copies)


def unpack(tree: Any, tensors: Mapping[str, Tensor], stored: Callable[[Any], Any] | None = None) -> Any:
    """Return the nest that `pack` split.

    Args:
        tree: The JSON value.
        tensors: The tensors by path.
        stored: Returns a sharded tensor, given its path, shape and dtype.
    """
    if isinstance(tree, list):
        return [unpack(part, tensors, stored) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if "$tensor" in tree:
        return tensors[tree["$tensor"]]
    if "$sharded" in tree and stored is not None:
        return stored(tree["$sharded"])
    if "$tuple" in tree:
        return tuple(unpack(part, tensors, stored) for part in tree["$tuple"])
    if "$pairs" in tree:
        return {_key(key): unpack(value, tensors, stored) for key, value in tree["$pairs"]}
    return {key: unpack(value, tensors, stored) for key, value in tree.items()}


class _Copies:
    """Copies of tensors in host memory, by path."""

    def __init__(self, buffers: Mapping[str, Tensor], shards: ShardWriter | None) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._buffers, self._shards = buffers, shards
        self._first: dict[object, str] = {}

    def add(self, path: str, value: Tensor) -> dict[str, Any]:
        """Copy a tensor, unless the same memory has been copied; return where it belongs."""
        if is_dtensor(value) and self._shards is not None:
            owner = self._first.setdefault(id(value), path)
            if owner == path:
                self.tensors[path] = self._shards.copy(value, self._buffers.get(path))
            dtype = str(value.dtype).removeprefix("torch.")
            return {"$sharded": {"name": owner, "shape": list(value.shape), "dtype": dtype}}
        owner = self._first.setdefault(memory(value), path)
        if owner == path and (self._shards is None or rank() == 0):
            buffer = self._buffers.get(path)
            if buffer is None or buffer.shape != value.shape or buffer.dtype != value.dtype:
                self.tensors[path] = value.detach().to("cpu", copy=True).contiguous()
            else:
                self.tensors[path] = buffer.copy_(value.detach())
        return {"$tensor": owner}


def _pack(value: Any, path: str, copies: _Copies) -> Any:
    if isinstance(value, Tensor):
        return copies.add(path, value)
    if isinstance(value, Mapping):
        parts = [(key, _pack(part, f"{path}.{key}" if path else str(key), copies)) for key, part in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in parts):
            return dict(parts)
        return {"$pairs": [[_packed_key(key, path), part] for key, part in parts]}
    if isinstance(value, list | tuple):
        listed = [_pack(part, f"{path}.{number}", copies) for number, part in enumerate(value)]
        return {"$tuple": listed} if isinstance(value, tuple) else listed
    if value is None or isinstance(value, str | int | float | bool):
        return value
    message = f"a checkpoint holds tensors and plain data; {path or 'this'} is {type(value).__name__}"
    raise TrainingError(message)


def _packed_key(key: Any, path: str) -> Any:
    if isinstance(key, str | int | float | bool):
        return key
    if isinstance(key, tuple):
        return {"$tuple": [_packed_key(part, path) for part in key]}
    message = f"a checkpoint has keys of text and numbers; {path or 'this'} has {type(key).__name__}"
    raise TrainingError(message)


def _key(key: Any) -> Any:
    return tuple(_key(part) for part in key["$tuple"]) if isinstance(key, dict) else key
