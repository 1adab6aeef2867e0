"""The content of files of weights: one file, or the shards in an index."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from ..errors import DistillError

INDEX = ".index.json"
IN_A_FOLDER = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
_MAX_SHOWN = 4


def read_content(path: Path) -> Mapping[Any, Any]:
    """Return the content of a file, the shards of an index, or the weights in a folder, without running code.

    Raises:
        DistillError: The file or a shard is missing, damaged, or cannot be read without running code.
    """
    if path.is_dir():
        path = _only_file(path)
    if not path.is_file():
        message = f"there are no weights at {path}"
        raise DistillError(message, hint="run the experiment that trains them, or use another path")
    return _read_shards(path) if path.name.endswith(INDEX) else _read_file(path)


def safetensors_files(path: Path) -> list[Path]:
    """Return the safetensors files at a path: the file itself, the shards of an index, or those in a folder.

    Raises:
        DistillError: A file is missing, or not of safetensors.
    """
    if path.is_dir():
        path = _only_file(path)
    files = [path.parent / shard for shard in _shards(path)] if path.name.endswith(INDEX) else [path]
    for file in files:
        if not file.is_file() or file.suffix != ".safetensors":
            message = f"{file} is not a file of safetensors"
            raise DistillError(message, hint="convert the weights: distill convert SOURCE TARGET.safetensors")
    return files


def _only_file(folder: Path) -> Path:
    files = [folder / name for name in IN_A_FOLDER if (folder / name).is_file()]
    if not files:
        message = f"{folder} holds none of {', '.join(IN_A_FOLDER)}"
        raise DistillError(message, hint="use the path of the file of weights")
    return files[0]


def _read_file(path: Path) -> Mapping[Any, Any]:
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        with torch.serialization.safe_globals(
            [argparse.Namespace]
        ):  # many scripts save their settings beside the weights
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's message suggests unsafe loading
        message = f"{path} is not a file of weights that can be read without running code"
        hint = ""
        if names := _foreign(path):
            message += f": it needs {names[0]}"
            hint = "save the state dict alone where that code is installed: torch.save(model.state_dict(), FILE)"
        raise DistillError(message, hint=hint) from error
    if not isinstance(content, Mapping):
        message = f"{path} holds {type(content).__name__}, not tensors by name"
        raise DistillError(message)
    return content


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name. Tied tensors, written once, get the other names in its metadata too."""
    tensors: dict[str, Tensor] = load_file(path)
    with safe_open(path, "pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
    tied = {name: tensors[owner] for name, owner in metadata.items() if owner in tensors and name not in tensors}
    return tensors | tied


def _foreign(path: Path) -> list[str]:
    """Return the sorted names of classes and functions that a file needs besides tensors and settings."""
    try:
        return sorted(set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - {"argparse.Namespace"})
    except Exception:  # noqa: BLE001  not a file of torch
        return []


def _read_shards(index: Path) -> dict[str, Tensor]:
    """Return the tensors of all shards; each must hold exactly the names in the index."""
    names_of = _shards(index)
    if missing := [shard for shard in names_of if not (index.parent / shard).is_file()]:
        message = f"{index} lists shards that do not exist beside it: {_shown(missing)}"
        raise DistillError(message, hint="download all files of the checkpoint")
    tensors: dict[str, Tensor] = {}
    for shard, names in names_of.items():
        content = _read_file(index.parent / shard)
        absent, surplus = sorted(names - content.keys()), sorted(map(str, content.keys() - names))
        if absent or surplus:
            difference = f"lacks {_shown(absent)}" if absent else f"also holds {_shown(surplus)}"
            message = f"{index.parent / shard} does not match {index.name}: it {difference}"
            raise DistillError(message, hint="the shards and the index are of different checkpoints")
        tensors |= content
    return tensors


def _shards(index: Path) -> dict[str, set[str]]:
    """Return the names of tensors in each shard, from an index in the layout of Hugging Face."""
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{index} is not JSON: {error}"
        raise DistillError(message) from error
    listed = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not listed or not all(isinstance(shard, str) for shard in listed.values()):
        message = f"{index} is not an index of shards: `weight_map` must map names of tensors to names of files"
        raise DistillError(message)
    names_of: dict[str, set[str]] = {}
    for name, shard in listed.items():
        if not _is_plain(shard):
            message = f"{index} lists '{shard}', which is not the name of a file of weights beside it"
            raise DistillError(message)
        names_of.setdefault(shard, set()).add(name)
    return names_of


def _is_plain(shard: str) -> bool:
    """Return whether a shard names a file of weights in the folder of the index, on any system."""
    return not re.search(r"[/\\:\0]", shard) and not shard.startswith(".") and not shard.endswith(INDEX)


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(names[:_MAX_SHOWN]) + more
