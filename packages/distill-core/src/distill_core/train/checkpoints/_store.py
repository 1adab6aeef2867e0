"""A folder of checkpoints: each is a directory of safetensors and JSON, written atomically.

A checkpoint is written to a temporary directory, synced and renamed; its manifest of sizes and SHA-256 is written last.
Two small files, replaced atomically, name the checkpoints `latest` and `best`.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...errors import DistillError, TrainingError
from ...records import fingerprint, sync, write_record
from ...weights import write_tensors
from ._state_tree import pack, unpack

logger = logging.getLogger("distill")
_UNREADABLE = (OSError, ValueError, AttributeError, LookupError, TypeError)
_STATE, _TENSORS, _MANIFEST = "state.json", "state.safetensors", "manifest.json"


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: Their folder; created with the first checkpoint.

    Attributes:
        keep: Number of the newest checkpoints to keep besides the best.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keep = 2
        self._kept: list[str] = []  # oldest first; the last one was read or written last, and is known to be intact

    def write(self, name: str, state: dict[str, Any], *, best: bool = False) -> None:
        """Write a checkpoint, name it `latest` (and `best`), then remove those that are no longer needed.

        The newest ones and the best are kept. Old ones are removed only after the new one has been read back intact.

        Raises:
            TrainingError: The checkpoint cannot be written (the disk is full, or the folder is read-only). Earlier
                checkpoints are untouched.
        """
        try:
            self._write(name, state, best=best)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(self.folder / f".{name}.tmp", ignore_errors=True)
            reason = getattr(error, "strerror", None) or str(error)
            kept = self.name("latest")
            message = f"the checkpoint {self.folder / name} cannot be written: {reason}"
            hint = (
                f"make room and go on with --resume from {kept}, which is untouched"
                if kept
                else "choose another folder"
            )
            raise TrainingError(message, hint=hint) from error

    def _write(self, name: str, state: dict[str, Any], *, best: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sweep()
        unfinished = self.folder / f".{name}.tmp"
        unfinished.mkdir()
        tensors, tree = pack(state)
        write_tensors(tensors, unfinished / _TENSORS)
        (unfinished / _STATE).write_text(json.dumps(tree))
        final = next(path for path in self._folders(name) if not path.exists())
        manifest = {"name": final.name, "files": {file: fingerprint(unfinished / file) for file in (_TENSORS, _STATE)}}
        for file in (_TENSORS, _STATE):
            sync(unfinished / file)
        (unfinished / _MANIFEST).write_text(json.dumps(manifest, indent=1))
        sync(unfinished / _MANIFEST)
        sync(unfinished)
        if not self._kept:
            self._kept = [path.name for path in self.newest_first() if path != final][::-1]
        unfinished.rename(final)
        sync(self.folder)
        if best:
            self.warn_of_damaged_best()
            # First: a run that is killed here resumes before this point and names it again.
            self._point("best", final.name)
        self._point("latest", final.name)
        if damaged := _damaged(final):
            message = (
                f"the checkpoint {final} was not written as it should be: {', '.join(damaged)} reads back differently"
            )
            raise TrainingError(message)
        self._kept = [*self._kept, final.name][-self.keep :]
        for path in self.newest_first():
            if path.name not in {self.name("best"), *self._kept}:
                shutil.rmtree(path)

    def sweep(self) -> None:
        """Remove unfinished files of a run that was killed."""
        for path in self.folder.glob("*.tmp"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _folders(self, name: str) -> Iterator[Path]:
        """Yield folder names for a checkpoint: a second one of the same step gets a number, nothing is overwritten."""
        yield self.folder / name
        for number in itertools.count(1):
            yield self.folder / f"{name}-{number}"

    def read(self, which: str) -> dict[str, Any]:
        """Return the state in the checkpoint that `latest` or `best` names.

        Raises:
            TrainingError: It does not exist, or it is damaged.
        """
        name = self.name(which)
        if name is None:
            message = f"there is no {which} checkpoint in {self.folder}"
            raise TrainingError(message)
        return self.read_named(name)

    def read_named(self, name: str) -> dict[str, Any]:
        """Return the state in the checkpoint of this name, after checking it against its manifest."""
        folder = self.folder / name
        try:
            damaged = _damaged(folder)
        except _UNREADABLE as error:
            message = f"the checkpoint {folder} is incomplete: its manifest or a file is missing or unreadable"
            raise TrainingError(message) from error
        if damaged:
            message = (
                f"the checkpoint {folder} is damaged: the SHA-256 of {', '.join(damaged)} differs from the manifest"
            )
            raise TrainingError(message)
        state: dict[str, Any] = unpack(json.loads((folder / _STATE).read_text()), _tensors(folder / _TENSORS))
        return state

    def newest_intact(self) -> tuple[dict[str, Any], list[str]]:
        """Return the newest intact checkpoint, and the errors of the newer ones, which are damaged.

        Raises:
            TrainingError: None is intact.
        """
        names = [path.name for path in self.newest_first()]
        named = [name for name in (self.name("latest"),) if name]
        errors: list[str] = []
        for name in dict.fromkeys(named + names):
            try:
                state = self.read_named(name)
                self._kept = names[names.index(name) :][::-1]
                return state, errors
            except DistillError as error:
                errors.append(str(error))
        message = "\n".join([f"there is no checkpoint to resume from in {self.folder}", *errors])
        raise TrainingError(message)

    def newest_first(self) -> list[Path]:
        """Return the folders of all checkpoints, intact or not."""
        folders = [path for path in self.folder.glob("step-*") if path.is_dir()]
        return sorted(folders, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)], reverse=True)

    def warn_of_damaged_best(self) -> bool:
        """Return whether the best checkpoint is missing or damaged, which is logged."""
        if (name := self.name("best")) is None:
            return False
        try:
            damaged = ", ".join(_damaged(self.folder / name))
        except _UNREADABLE:
            damaged = "its manifest or a file"
        if damaged:
            logger.warning(
                "the best checkpoint %s is damaged: the SHA-256 of %s differs from the manifest",
                self.folder / name,
                damaged,
            )
        return bool(damaged)

    def name(self, which: str) -> str | None:
        """Return the name of the `latest` or `best` checkpoint."""
        pointer = self.folder / which
        return pointer.read_text(errors="replace").strip() if pointer.is_file() else None

    def _point(self, which: str, name: str) -> None:
        write_record(self.folder / which, name + "\n")


def _damaged(folder: Path) -> list[str]:
    """Return the files of a checkpoint that differ from its manifest; the manifest itself if it is of another one."""
    manifest = json.loads((folder / _MANIFEST).read_text())
    if manifest["name"] != folder.name or set(manifest["files"]) != {_TENSORS, _STATE}:
        return [_MANIFEST]
    return [file for file, expected in manifest["files"].items() if fingerprint(folder / file) != expected]


def _tensors(path: Path) -> dict[str, Tensor]:
    return load_file(path)
