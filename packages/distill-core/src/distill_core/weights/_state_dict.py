"""The state dict in whatever a training script saved."""

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
    """Tensors by name, what was done to get them, one line each, and where in the file they were."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    key: str = ""


def read_weights(path: str | os.PathLike[str], key: str = "") -> dict[str, Tensor]:
    """Return the tensors in a file by name; see `read_state`."""
    return read_state(path, key).tensors


def read_state(path: str | os.PathLike[str], key: str = "") -> State:
    """Return the tensors in a file and notes on what else is in it.

    Args:
        path: A `.safetensors` file, one written by `torch.save`, an index of shards (`….index.json`), or a folder that
            holds one of these under transformers' name. Nothing in it is run.
        key: Where in the file the tensors are: keys of nested mappings (`ema.model`), of which the last can be the
            first part of names (`state_dict.student`). By default the only mapping with tensors by name.

    Raises:
        DistillError: The file is missing, damaged, cannot be read without running code, or has tensors by name nowhere
            or in several places.
    """
    path = Path(path).expanduser()
    content = read_content(path)
    key = key or _only_place(path, content)
    found = _at(path, content, key) if key else content
    tensors = {str(name): tensor.detach() for name, tensor in found.items() if isinstance(tensor, Tensor)}
    if not tensors:
        message = f"{path} has no tensors by name" + (f" at '{key}'" if key else "")
        raise DistillError(message)
    for name, tensor in tensors.items():
        _check_plain(path, name, tensor)
    top = key if key in content else key.partition(".")[0]
    is_top = {name: name == top or str(name).startswith(f"{key}.") for name in content}
    rest = {str(name): value for name, value in content.items() if key and not is_top[name]}
    rest |= {f"{key}.{name}" if key else name: value for name, value in found.items() if not isinstance(value, Tensor)}
    left = [f"left out: '{name}', {_kind(value)}" for name, value in rest.items()]
    return State(tensors, (*([f"taken from '{key}'"] if key else []), *left, *_shared(tensors)), key)


def _only_place(path: Path, content: Mapping[Any, Any]) -> str:
    """The key under which the tensors are; an empty one if they are at the top."""
    sizes = {str(name): size for name, value in content.items() if (size := _count_tensors(value))}
    if not sizes or _count_tensors(content) > max(sizes.values()):
        return ""
    if len(sizes) > 1:
        names = ", ".join(f"'{name}'" for name in sizes)
        message = f"{path} has tensors by name in several places: {names}"
        raise DistillError(message, hint="choose with --key NAME (in a recipe: key: NAME)")
    return next(iter(sizes))


def _count_tensors(value: Any) -> int:
    if not isinstance(value, Mapping):
        return 0
    return sum(isinstance(name, str) and isinstance(item, Tensor) for name, item in value.items())


def _at(path: Path, content: Mapping[Any, Any], key: str) -> Mapping[Any, Any]:
    """Return what is under a key, or under keys with dots between them."""
    found: Any = content
    parts = [key] if key in content else key.split(".")
    for position, part in enumerate(parts):
        if isinstance(found, Mapping) and part not in found:
            prefix = ".".join(parts[position:]) + "."
            if named := {name: value for name, value in found.items() if str(name).startswith(prefix)}:
                return {str(name).removeprefix(prefix): value for name, value in named.items()}
        if not isinstance(found, Mapping) or part not in found:
            names = [str(name) for name, value in found.items() if isinstance(value, Mapping)] if found else []
            message = f"{path} has no '{key}'"
            raise DistillError(message, hint=did_you_mean(part, names) or "leave out --key")
        found = found[part]
    if not isinstance(found, Mapping):
        message = f"'{key}' of {path} is {_kind(found)}, not tensors by name"
        raise DistillError(message)
    return found


def _check_plain(path: Path, name: str, tensor: Tensor) -> None:
    plain = tensor.layout is torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        message = f"'{name}' of {path} is not a plain tensor with all its numbers in the file"
        raise DistillError(message)


def _kind(value: Any) -> str:
    if isinstance(value, (list, tuple, Mapping)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)}"
    short = isinstance(value, (bool, int, float, str)) and len(repr(value)) <= LONGEST_VALUE
    return f"{type(value).__name__} {value!r}" if short else type(value).__name__


def _shared(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Names of one memory, such as embeddings that are the output layer too."""
    owners: dict[int, str] = {}
    notes = []
    for name, tensor in tensors.items():
        owner = owners.setdefault(tensor.untyped_storage().data_ptr(), name) if tensor.numel() else name
        if owner != name:
            notes.append(
                f"shared: '{name}' has its numbers in the memory of '{owner}'; in the new file each has its own"
            )
    return tuple(notes)
