"""Lock of a cache folder, so that only one process at a time writes to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, created if it does not exist. The lock is released even if the process is killed."""
    from filelock import FileLock  # a tenth of a second, which listing models does not need

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield
