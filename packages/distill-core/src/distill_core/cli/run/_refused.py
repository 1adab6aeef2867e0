"""A refused run leaves nothing: its folder is as it was before the command."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...errors import DistillError
from .._folder import remove_refused
from .._run_files import LOCK, LOG, METRICS

_CHANGES = "changes.jsonl"


@contextlib.contextmanager
def withdrawn_if_refused(folder: Path) -> Iterator[None]:
    """Remove what a command has written into a run's folder if the run was refused before it trained.

    Otherwise a refused `--resume --change` would be the newest record, and the run could not be resumed without it.
    The log keeps the reason.

    Args:
        folder: Output folder of the run, which may not exist yet.
    """
    before = {path.name for path in folder.iterdir()} if folder.is_dir() else None
    progress, changes = _progress(folder), _content(folder / _CHANGES)
    try:
        yield
    except DistillError:
        if before is None:
            remove_refused(folder)
        elif _progress(folder) == progress:
            _restore(folder, before, changes)
        raise


def _restore(folder: Path, before: set[str], changes: bytes) -> None:
    for path in [path for path in folder.iterdir() if path.name not in {*before, LOG, LOCK}]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if _content(folder / _CHANGES) != changes:
        (folder / _CHANGES).write_bytes(changes)


def _progress(folder: Path) -> tuple[bytes, int]:
    """Return the newest checkpoint and the size of the metrics, which change when a run trains."""
    metrics = folder / METRICS
    return _content(folder / "checkpoints" / "latest"), metrics.stat().st_size if metrics.is_file() else 0


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""
