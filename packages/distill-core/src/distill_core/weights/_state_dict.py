"""The state dict in a checkpoint of any training script."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import DistillError, did_you_mean
from ._files import read_content

LONGEST_VALUE = 40


class State(NamedTuple):
    """Tensors by name, notes on the conversion, and their key in the file."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    key: str = ""


def read_weights(path: str | os.PathLike[str], key: str = "") -> dict[str, Tensor]:
    """Return the tensors in a file by name; see `read_state`."""
    return read_state(path, key).tensors


def read_state(path: str | os.PathLike[str], key: str = "") -> State:
    """Return the tensors in a file, and notes on its other content.

    Args:
        path: A `.safetensors` file, one written by `torch.save`, an index of shards (`….index.json`), or a folder that
            holds one of these under transformers' name. No code in it is run.
        key: Keys of nested mappings that lead to the tensors (`ema.model`); the last can be a prefix of names
            (`state_dict.student`). By default the only mapping with tensors by name.

    Raises:
        DistillError: The file is missing, damaged, cannot be read without running code, or has tensors by name under no key
            or under several keys.
    """
    path = Path(path).expanduser()
    content = read_content(path)
    key = key or _only_key(path, content)
    mapping = _at(path, content, key) if key else content
    tensors = {str(name): tensor.detach() for name, tensor in mapping.items() if isinstance(tensor, Tensor)}
    if not tensors:
        message = f"{path} has no tensors by name" + (f" at '{key}'" if key else "")
        raise DistillError(message)
    for name, tensor in tensors.items():
        _check_plain(path, name, tensor)
    top = key if key in content else key.partition(".")[0]
    is_top = {name: name == top or str(name).startswith(f"{key}.") for name in content}
    rest = {str(name): value for name, value in content.items() if key and not is_top[name]}
    rest |= {
        f"{key}.{name}" if key else name: value for name, value in mapping.items() if not isinstance(value, Tensor)
    }
    omitted = [f"omitted: '{name}', {_kind(value)}" for name, value in rest.items()]
    return State(tensors, (*([f"taken from '{key}'"] if key else []), *omitted, *_shared(tensors)), key)


def _only_key(path: Path, content: Mapping[Any, Any]) -> str:
    """Return the key of the tensors; empty if they are at the top level."""
    sizes = {str(name): size for name, value in content.items() if (size := _count_tensors(value))}
    if not sizes or _count_tensors(content) > max(sizes.values()):
        return ""
    if len(sizes) > 1:
        names = ", ".join(f"'{name}'" for name in sizes)
        message = f"{path} has tensors by name under several keys: {names}"
        raise DistillError(message, hint="choose with --key NAME (in a recipe: key: NAME)")
    return next(iter(sizes))


def _count_tensors(value: Any) -> int:
    if not isinstance(value, Mapping):
        return 0
    return sum(isinstance(name, str) and isinstance(item, Tensor) for name, item in value.items())


def _at(path: Path, content: Mapping[Any, Any], key: str) -> Mapping[Any, Any]:
    """Return the mapping at a key, or at several keys joined by dots."""
    mapping: Any = content
    parts = [key] if key in content else key.split(".")
    for position, part in enumerate(parts):
        if isinstance(mapping, Mapping) and part not in mapping:
            prefix = ".".join(parts[position:]) + "."
            if named := {name: value for name, value in mapping.items() if str(name).startswith(prefix)}:
                return {str(name).removeprefix(prefix): value for name, value in named.items()}
        if not isinstance(mapping, Mapping) or part not in mapping:
            items = mapping.items() if isinstance(mapping, Mapping) else ()
            names = [str(name) for name, value in items if isinstance(value, Mapping)]
            message = f"{path} has no '{key}'"
            raise DistillError(message, hint=did_you_mean(part, names) or "omit --key")
        mapping = mapping[part]
    if not isinstance(mapping, Mapping):
        message = f"'{key}' of {path} is {_kind(mapping)}, not tensors by name"
        raise DistillError(message)
    return mapping


def _check_plain(path: Path, name: str, tensor: Tensor) -> None:
    plain = tensor.layout is torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        message = f"'{name}' of {path} is not a plain tensor whose values are all in the file"
        raise DistillError(message)


def _kind(value: Any) -> str:
    if isinstance(value, (list, tuple, Mapping)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)}"
    short = isinstance(value, (bool, int, float, str)) and len(repr(value)) <= LONGEST_VALUE
    return f"{type(value).__name__} {value!r}" if short else type(value).__name__


def _shared(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return notes on tensors that share memory, such as embeddings tied to the output layer."""
    owners: dict[int, str] = {}
    notes = []
    for name, tensor in tensors.items():
        owner = owners.setdefault(tensor.untyped_storage().data_ptr(), name) if tensor.numel() else name
        if owner != name:
            notes.append(f"shared: '{name}' shares the memory of '{owner}'; the new file has a copy of each")
    return tuple(notes)
