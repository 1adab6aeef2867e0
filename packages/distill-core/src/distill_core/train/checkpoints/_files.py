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

from safetensors.torch import load_file
from torch import Tensor

from ...errors import TrainingError
from ...records import fingerprint, sync, write_hashed, write_record
from ...weights import write_tensors
from ._state_tree import unpack

UNREADABLE = (OSError, ValueError, AttributeError, LookupError, TypeError)
_STATE, _TENSORS, _MANIFEST = "state.json", "state.safetensors", "manifest.json"


def write_checkpoint(folder: Path, name: str, tensors: Mapping[str, Tensor], tree: Any) -> Path:
    """Write a checkpoint and return its directory, which gets a number if another one has the name."""
    unfinished = unfinished_path(folder, name)
    unfinished.mkdir()
    files = {
        _TENSORS: write_tensors(tensors, unfinished / _TENSORS),
        _STATE: write_hashed(unfinished / _STATE, [memoryview(json.dumps(tree).encode())]),
    }
    final = next(path for path in _numbered(folder, name) if not path.exists())
    (unfinished / _MANIFEST).write_text(json.dumps({"name": final.name, "files": files}, indent=1))
    for file in (_TENSORS, _STATE, _MANIFEST):
        sync(unfinished / file)
    sync(unfinished)
    unfinished.rename(final)
    sync(folder)
    return final


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state in a checkpoint, after checking it against its manifest.

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
    state: dict[str, Any] = unpack(json.loads((path / _STATE).read_text()), tensors)
    return state


def damaged_files(path: Path) -> list[str]:
    """Return the files of a checkpoint that differ from its manifest; the manifest itself if it is of another one."""
    manifest = json.loads((path / _MANIFEST).read_text())
    if manifest["name"] != path.name or set(manifest["files"]) != {_TENSORS, _STATE}:
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


def _numbered(folder: Path, name: str) -> Iterator[Path]:
    """Yield directories for a checkpoint: a second one of the same step gets a number, nothing is overwritten."""
    yield folder / name
    for number in itertools.count(1):
        yield folder / f"{name}-{number}"
