"""A state dict out of whatever a training script saved, with the names that the model itself has."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import DistillError, did_you_mean
from ..weights import read_weights

LONGEST_VALUE = 40
_FOREIGN = re.compile(r"GLOBAL ([\w.]+)")
_COMPILED = re.compile(r"(^|\.)_orig_mod\.")
_PARALLEL = "module."


class State(NamedTuple):
    """Tensors by name, and what was done to get them, a line each."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_state(path: Path, key: str = "") -> State:
    """The tensors in a file; what else is in it is left out, and said to be.

    Args:
        path: A `.safetensors` file, or one written by `torch.save`; nothing in it is run.
        key: Where in the file they are, `ema.model`; the only place that has tensors by name if left out.

    Raises:
        DistillError: The file cannot be read without running code, or has tensors by name nowhere or in several places.
    """
    content: Mapping[Any, Any] = read_weights(path) if path.suffix == ".safetensors" else _load(path)
    key = key or _only_place(path, content)
    found = _at(path, content, key) if key else content
    tensors = {str(name): tensor.detach() for name, tensor in found.items() if isinstance(tensor, Tensor)}
    if not tensors:
        message = f"{path} has no tensors by name" + (f" at '{key}'" if key else "")
        raise DistillError(message)
    for name, tensor in tensors.items():
        _check_plain(path, name, tensor)
    top = key if key in content else key.partition(".")[0]
    rest = {str(name): value for name, value in content.items() if key and name != top}
    rest |= {f"{key}.{name}" if key else name: value for name, value in found.items() if not isinstance(value, Tensor)}
    left = [f"left out: '{name}', {_kind(value)}" for name, value in rest.items()]
    return State(tensors, (*([f"taken from '{key}'"] if key else []), *left, *_shared(tensors)))


def _only_place(path: Path, content: Mapping[Any, Any]) -> str:
    """The key under which the tensors are; an empty one if they are at the top."""
    sizes = {str(name): size for name, value in content.items() if (size := _count_tensors(value))}
    if not sizes or _count_tensors(content) > max(sizes.values()):
        return ""
    if len(sizes) > 1:
        names = ", ".join(f"'{name}'" for name in sizes)
        message = f"{path} has tensors by name in several places: {names}\n  hint: choose with --key NAME"
        raise DistillError(message)
    return next(iter(sizes))


def _count_tensors(value: Any) -> int:
    if not isinstance(value, Mapping):
        return 0
    return sum(isinstance(name, str) and isinstance(item, Tensor) for name, item in value.items())


def _load(path: Path) -> Mapping[Any, Any]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # settings, which many scripts save beside weights
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own text suggests loading unsafely
        wants = _FOREIGN.search(str(error))
        reason = f": it wants {wants[1]}" if wants else ""
        hint = "where its code is, save the state dict alone: torch.save(model.state_dict(), FILE)"
        message = f"{path} cannot be read without running code{reason}\n  hint: {hint}"
        raise DistillError(message) from error
    if not isinstance(content, Mapping):
        message = f"{path} holds {type(content).__name__}, not tensors by name"
        raise DistillError(message)
    return content


def _at(path: Path, content: Mapping[Any, Any], key: str) -> Mapping[Any, Any]:
    """What is under a key, or under keys with dots between them."""
    found: Any = content
    for part in [key] if key in content else key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            names = [str(name) for name, value in found.items() if isinstance(value, Mapping)] if found else []
            message = f"{path} has no '{key}'\n  hint: {did_you_mean(part, names) or 'leave out --key'}"
            raise DistillError(message)
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


def cleaned(state: State) -> State:
    """Without what `nn.DataParallel` (`module.`) and `torch.compile` (`_orig_mod.`) put into every name.

    Raises:
        DistillError: Two names become one.
    """
    names = {name: _COMPILED.sub(r"\1", name) for name in state.tensors}
    notes = []
    if changed := sum(new != old for old, new in names.items()):
        notes.append(f"names: '_orig_mod.' of torch.compile taken out of {changed}")
    while all(name.startswith(_PARALLEL) for name in names.values()):
        names = {old: new.removeprefix(_PARALLEL) for old, new in names.items()}
        notes.append(f"names: '{_PARALLEL}' of nn.DataParallel taken off all {len(names)}")
    tensors: dict[str, Tensor] = {}
    for old, new in names.items():
        if new in tensors:
            message = f"two tensors would be called '{new}': '{old}' is the second"
            raise DistillError(message)
        tensors[new] = state.tensors[old]
    return State(tensors, (*state.notes, *notes))
