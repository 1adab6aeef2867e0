"""Files that exist complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to a file, and rename it to the file at the end. The folder is created.

    Several processes may write the same file at the same time: the last one wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}-{path.name}")
    yield unfinished
    os.replace(unfinished, path)
