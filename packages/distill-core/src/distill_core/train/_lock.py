"""One run per folder: a lock that says who holds it, and that a dead process does not keep."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import platform
from pathlib import Path

from ..errors import TrainingError


class FolderLock:
    """Held from `acquire` to `release`, or to the end of the process however it ends.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the folder.

        Raises:
            TrainingError: Another process holds it; the message says which.
        """
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
                os.close(handle)
                message = (
                    f"{self._path.parent} is held by {holder}\n"
                    "  hint: wait for that run, stop it, or use another folder"
                )
                raise TrainingError(message) from error
            if self._path.exists() and os.path.samestat(os.fstat(handle), self._path.stat()):
                break
            os.close(handle)  # its holder has removed the file meanwhile: this is the lock of nothing
        since = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        os.truncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {platform.node()} since {since}\n".encode(), 0)
        self._handle = handle
        _held.add(self)

    def release(self) -> None:
        """Give the folder back."""
        if self._handle is not None:
            self._path.unlink(missing_ok=True)
            self._forget()

    def _forget(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None
        _held.discard(self)


_held: set[FolderLock] = set()


def _leave_to_parent() -> None:
    """A process that reads data ahead outlives a killed run by seconds: it must not hold the folder."""
    for lock in list(_held):
        lock._forget()  # noqa: SLF001


os.register_at_fork(after_in_child=_leave_to_parent)
