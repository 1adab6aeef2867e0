"""Lock of a folder, so that only one run at a time writes to it."""

from __future__ import annotations

import datetime as dt
import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import TrainingError


class FolderLock:
    """A lock held from `acquire` to `release`, or until the process ends. Forked processes do not hold it.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holder = folder / ".lock-holder"  # a file of its own, because Windows does not read a locked one
        self._lock = FileLock(folder / ".lock", thread_local=False)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            TrainingError: Another process holds it; the message names it.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            holder = self._holder.read_text(errors="replace").strip() if self._holder.is_file() else ""
            message = f"{self._folder} is locked by {holder or 'another process'}"
            raise TrainingError(message, hint="wait for that run, stop it, or use another folder") from error
        since = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._holder.write_text(f"process {os.getpid()} on {platform.node()} since {since}\n")

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._lock.is_locked:
            self._holder.unlink(missing_ok=True)
            self._lock.release()
