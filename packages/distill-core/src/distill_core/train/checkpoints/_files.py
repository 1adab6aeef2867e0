"""The files of one checkpoint, and the pointers `latest` and `best` beside it.

A checkpoint is a directory of safetensors and JSON. It is written to a temporary directory, synced and renamed; the
manifest with the size and SHA-256 of each file is written last. A pointer is a small file, replaced atomically.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...errors import TrainingError
from ...records import Fingerprint, fingerprint, sync, write_hashed, write_record
from ...weights import write_tensors
from ..parallel import StoredTensor, read_stored
from ._state_tree import unpack

UNREADABLE = (OSError, ValueError, AttributeError, LookupError, TypeError)
_STATE, _TENSORS, _MANIFEST, _SHARDS = "state.json", "state.safetensors", "manifest.json", "shards"


def write_checkpoint(
    folder: Path, name: str, tensors: Mapping[str, Tensor], tree: Any, shards: Mapping[str, Fingerprint]
) -> Path:
    """Write a checkpoint and return its directory, which gets a number if another one has the name.

    Args:
        folder: The folder of all checkpoints.
        name: The checkpoint's name.
        tensors, tree: The state, packed.
        shards: The files of sharded tensors, which have been written.
    """
    unfinished = unfinished_path(folder, name)
    unfinished.mkdir(exist_ok=bool(shards))
    files: dict[str, Any] = {f"{_SHARDS}/{file}": written for file, written in shards.items()}
    files |= {
        _TENSORS: write_tensors(tensors, unfinished / _TENSORS),
        _STATE: write_hashed(unfinished / _STATE, [memoryview(json.dumps(tree).encode())]),
    }
    final = next(path for path in _numbered(folder, name) if not path.exists())
    (unfinished / _MANIFEST).write_text(json.dumps({"name": final.name, "files": files}, indent=1))
    for file in (*files, _MANIFEST):
        sync(unfinished / file)
    sync(unfinished)
    unfinished.rename(final)
    sync(folder)
    return final


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state in a checkpoint, after checking it against its manifest.

    Sharded tensors are `StoredTensor`s, of which a process reads its part.

    Raises:
        TrainingError: It is incomplete or damaged.
    """
    try:
        damaged = damaged_files(path)
    except UNREADABLE as error:
        message = f"the checkpoint {path} is incomplete: its manifest or a file is missing or unreadable"
        raise TrainingError(message) from error
    if damaged:
        message = f"the checkpoint {path} is damaged: the SHA-256 of {', '.join(damaged)} differs from the manifest"
        raise TrainingError(message)
    tensors: dict[str, Tensor] = load_file(path / _TENSORS)

    def stored(entry: Mapping[str, Any]) -> Any:
        dtype, shape = getattr(torch, entry["dtype"]), torch.Size(entry["shape"])
        return StoredTensor(shards_path(path), entry["name"], shape, dtype)

    state: dict[str, Any] = unpack(json.loads((path / _STATE).read_text()), tensors, stored)
    return state


def newest_checkpoint(folder: Path) -> Path:
    """Return the directory of the newest checkpoint of a run; `folder` itself if it is one.

    Raises:
        TrainingError: There is none.
    """
    if (folder / _MANIFEST).is_file():
        return folder
    name = read_pointer(folder / "checkpoints", "latest")
    if name is None:
        message = f"{folder} is not the folder of a checkpoint, nor of a run with checkpoints"
        raise TrainingError(message)
    return folder / "checkpoints" / name


def read_model(path: Path, name: str = "") -> dict[str, Tensor]:
    """Return the complete weights of a model in a checkpoint.

    Args:
        path: The checkpoint's directory.
        name: The model; it can be omitted if the checkpoint has only one.

    Raises:
        TrainingError: The checkpoint is damaged, or has no such model.
    """
    models = read_checkpoint(path)["models"]
    if name not in models and (name or len(models) != 1):
        message = f"{path} has the models {', '.join(models)}" + (f", not '{name}'" if name else "")
        raise TrainingError(message, hint="choose with --key NAME")
    return read_stored(models[name or next(iter(models))], {})


def damaged_files(path: Path) -> list[str]:
    """Return the files of a checkpoint that differ from its manifest; the manifest itself if it is of another one."""
    manifest = json.loads((path / _MANIFEST).read_text())
    if manifest["name"] != path.name or not manifest["files"].keys() >= {_TENSORS, _STATE}:
        return [_MANIFEST]
    return [file for file, expected in manifest["files"].items() if fingerprint(path / file) != expected]


def newest_first(folder: Path) -> list[Path]:
    """Return the directories of all checkpoints, intact or not."""
    folders = [path for path in folder.glob("step-*") if path.is_dir()]
    return sorted(folders, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)], reverse=True)


def sweep(folder: Path) -> None:
    """Remove unfinished files of a run that was killed."""
    for path in folder.glob("*.tmp"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def read_pointer(folder: Path, which: str) -> str | None:
    """Return the name of the `latest` or `best` checkpoint."""
    pointer = folder / which
    return pointer.read_text(errors="replace").strip() if pointer.is_file() else None


def write_pointer(folder: Path, which: str, path: Path) -> None:
    """Name a checkpoint `latest` or `best`."""
    write_record(folder / which, path.name + "\n")


def unfinished_path(folder: Path, name: str) -> Path:
    """Return the temporary directory in which a checkpoint is written."""
    return folder / f".{name}.tmp"


def shards_path(path: Path) -> Path:
    """Return the folder of sharded tensors in the directory of a checkpoint."""
    return path / _SHARDS


def _numbered(folder: Path, name: str) -> Iterator[Path]:
    """Yield directories for a checkpoint: a second one of the same step gets a number, nothing is overwritten."""
    yield folder / name
    for number in itertools.count(1):
        yield folder / f"{name}-{number}"
