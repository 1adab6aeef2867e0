"""The checkpoints of a run, written in a thread while training continues."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...distributed import is_dtensor, rank
from ...errors import DistillError, TrainingError
from ...records import Fingerprint
from ..parallel import ShardWriter
from ._files import (
    UNREADABLE,
    damaged_files,
    newest_first,
    read_checkpoint,
    read_pointer,
    shards_path,
    sweep,
    unfinished_path,
    write_checkpoint,
    write_pointer,
)
from ._state_tree import pack

logger = logging.getLogger("distill")


class CheckpointStore:
    """The checkpoints of one run.

    `write` copies the state and returns; a thread writes the copy. One checkpoint is written at a time, and every other
    method first waits until it is on disk.

    Args:
        folder: Their folder; created with the first checkpoint.

    Attributes:
        keep: Number of the newest checkpoints to keep besides the best.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keep = 2
        self._kept: list[str] = []  # oldest first; the last one was read or written last, and is known to be intact
        self._copies: Mapping[str, Tensor] = {}  # of the state that was written last
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._shards: ShardWriter | None = None

    def write(self, name: str, state: dict[str, Any], *, best: bool = False, is_sharded: bool = False) -> None:
        """Copy a state, and start to write it as the checkpoint `latest` (and `best`).

        The newest ones and the best are kept; others are removed when the new one is on disk. A kill at any moment leaves
        the previous one.

        Args:
            name: The checkpoint's name.
            state: The state.
            best: Whether it becomes the best checkpoint.
            is_sharded: Whether the state has sharded tensors. Every process then calls this and writes its shards; the main
                process writes everything else.

        Raises:
            TrainingError: The previous checkpoint could not be written; see `wait`.
        """
        self._join()
        self._raise()
        if is_sharded and self._shards is None:
            self._shards = ShardWriter()
        tensors, tree = pack(state, self._copies, self._shards if is_sharded else None)
        self._copies = tensors
        self._thread = threading.Thread(
            target=self._run, args=(name, tensors, tree), kwargs={"best": best}, name="checkpoint"
        )
        self._thread.start()

    def wait(self) -> None:
        """Wait until the checkpoint is on disk, and free the copy of its state.

        Raises:
            TrainingError: It cannot be written (the disk is full, or the folder is read-only). Earlier checkpoints are
                untouched.
        """
        self._join()
        self._copies = {}
        self._raise()

    def read(self, which: str) -> dict[str, Any]:
        """Return the state in the checkpoint that `latest` or `best` names.

        Raises:
            TrainingError: It does not exist, or it is damaged.
        """
        name = self.name(which)
        if name is None:
            message = f"there is no {which} checkpoint in {self.folder}"
            raise TrainingError(message)
        return read_checkpoint(self.folder / name)

    def read_named(self, name: str) -> dict[str, Any]:
        """Return the state in the checkpoint of this name, after checking it against its manifest."""
        self._join()
        return read_checkpoint(self.folder / name)

    def newest_intact(self) -> tuple[dict[str, Any], list[str]]:
        """Return the newest intact checkpoint, and the errors of the newer ones, which are damaged.

        Raises:
            TrainingError: None is intact.
        """
        latest = self.name("latest")
        names = [path.name for path in newest_first(self.folder)]
        errors: list[str] = []
        for name in dict.fromkeys([latest, *names] if latest else names):
            try:
                state = read_checkpoint(self.folder / name)
                self._kept = names[names.index(name) :][::-1]
                return state, errors
            except DistillError as error:
                errors.append(str(error))
        message = "\n".join([f"there is no checkpoint to resume from in {self.folder}", *errors])
        raise TrainingError(message)

    def warn_of_damaged_best(self) -> bool:
        """Return whether the best checkpoint is missing or damaged, which is logged."""
        self._join()
        return self._is_best_damaged()

    def name(self, which: str) -> str | None:
        """Return the name of the `latest` or `best` checkpoint."""
        self._join()
        return read_pointer(self.folder, which)

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, name: str, tensors: Mapping[str, Tensor], tree: Any, *, best: bool) -> None:
        """Write a checkpoint; the body of the thread."""
        try:
            self._write(name, tensors, tree, best=best)
        except OSError as error:
            shutil.rmtree(unfinished_path(self.folder, name), ignore_errors=True)
            kept = read_pointer(self.folder, "latest")
            message = f"the checkpoint {self.folder / name} cannot be written: {error.strerror or error}"
            hint = (
                f"make room and go on with --resume from {kept}, which is untouched"
                if kept
                else "choose another folder"
            )
            self._error = TrainingError(message, hint=hint)
            self._error.__cause__ = error
        except BaseException as error:  # noqa: BLE001  raised by `wait`
            self._error = error

    def _write(self, name: str, tensors: Mapping[str, Tensor], tree: Any, *, best: bool) -> None:
        main = rank() == 0
        if main:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep(self.folder)
        own = {path: tensor for path, tensor in tensors.items() if is_dtensor(tensor)}
        files: dict[str, Fingerprint] = {}
        if self._shards is not None and own:
            files = self._shards.write(own, shards_path(unfinished_path(self.folder, name)))
        if not main:
            return
        if not self._kept:
            self._kept = [path.name for path in newest_first(self.folder)][::-1]
        others = {path: tensor for path, tensor in tensors.items() if path not in own}
        path = write_checkpoint(self.folder, name, others, tree, files)
        if best:
            self._is_best_damaged()
            # First: a run that is killed here resumes before this point and names it again.
            write_pointer(self.folder, "best", path)
        write_pointer(self.folder, "latest", path)
        self._kept = [*self._kept, path.name][-self.keep :]
        for old in newest_first(self.folder):
            if old.name not in {read_pointer(self.folder, "best"), *self._kept}:
                shutil.rmtree(old)

    def _is_best_damaged(self) -> bool:
        if (name := read_pointer(self.folder, "best")) is None:
            return False
        try:
            damaged = ", ".join(damaged_files(self.folder / name))
        except UNREADABLE:
            damaged = "its manifest or a file"
        if damaged:
            logger.warning(
                "the best checkpoint %s is damaged: the SHA-256 of %s differs from the manifest",
                self.folder / name,
                damaged,
            )
        return bool(damaged)
