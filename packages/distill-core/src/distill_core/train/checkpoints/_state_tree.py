"""Nested state (dicts, lists, numbers, tensors) as named tensors plus JSON, and back; no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...errors import TrainingError
from ...weights import memory


def pack(state: Any) -> tuple[dict[str, Tensor], Any]:
    """Split a nest into its tensors by path and a JSON value that says where they belong.

    Tied tensors are kept once, by the first path.

    Raises:
        TrainingError: It holds something that is neither a tensor nor plain data.

    >>> import torch
    >>> tensors, tree = pack({"step": 3, "buffer": torch.zeros(2)})
    >>> sorted(tensors), tree
    (['buffer'], {'step': 3, 'buffer': {'$tensor': 'buffer'}})
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _pack(state, "", tensors, {})


def unpack(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the nest that `pack` split."""
    if isinstance(tree, list):
        return [unpack(part, tensors) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if "$tensor" in tree:
        return tensors[tree["$tensor"]]
    if "$tuple" in tree:
        return tuple(unpack(part, tensors) for part in tree["$tuple"])
    if "$pairs" in tree:
        return {_key(key): unpack(value, tensors) for key, value in tree["$pairs"]}
    return {key: unpack(value, tensors) for key, value in tree.items()}


def _pack(value: Any, path: str, tensors: dict[str, Tensor], first: dict[object, str]) -> Any:
    if isinstance(value, Tensor):
        owner = first.setdefault(memory(value), path)
        if owner == path:
            tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"$tensor": owner}
    if isinstance(value, Mapping):
        parts = [
            (key, _pack(part, f"{path}.{key}" if path else str(key), tensors, first)) for key, part in value.items()
        ]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in parts):
            return dict(parts)
        return {"$pairs": [[_packed_key(key, path), part] for key, part in parts]}
    if isinstance(value, list | tuple):
        listed = [_pack(part, f"{path}.{number}", tensors, first) for number, part in enumerate(value)]
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
