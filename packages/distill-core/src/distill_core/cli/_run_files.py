"""The files in the output folder of a run."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import DataError
from ..records import read_record

SOURCE, RESOLVED, COMMAND, ENVIRONMENT, LOG, METRICS, RESULTS, LOCK = (
    "config.source.yaml",
    "config.resolved.yaml",
    "command.txt",
    "environment.json",
    "log.txt",
    "metrics.jsonl",
    "results.json",
    ".lock",
)
CODE = "code"
"""Folder of the copies of modules, and the first word of their keys."""


def has_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds a checkpoint, intact or damaged."""
    return any((folder / "checkpoints").glob("step-*"))


def newest_version(folder: Path, name: str) -> Path:
    """Return the newest version of a file or folder of a run: `config.resolved.2.yaml` after the first change.

    Args:
        folder: Output folder of a run.
        name: Its name before any change.
    """
    version = _newest_version(folder, name)
    return folder / name if version < 2 else numbered(folder, name, version)


def numbered(folder: Path, name: str, version: int) -> Path:
    """Return the path of a version of a file or folder: `config.resolved.yaml`, 2 → `config.resolved.2.yaml`."""
    return folder / f"{Path(name).stem}.{version}{Path(name).suffix}"


def next_version(folder: Path, name: str) -> int:
    """Return the number of the next version of a file or folder of a run; the first is 2."""
    return max(1, _newest_version(folder, name)) + 1


def _newest_version(folder: Path, name: str) -> int:
    pattern = re.compile(rf"{re.escape(Path(name).stem)}\.(\d+){re.escape(Path(name).suffix)}")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(match.group(1)) for match in map(pattern.fullmatch, names) if match), default=0)


def working_directory(folder: Path) -> Path | None:
    """Return the working directory in which a run was started, where its relative paths start; None if it is unknown."""
    try:
        recorded = read_record(folder / ENVIRONMENT).get("working_directory")
    except (OSError, DataError):
        return None
    return Path(recorded) if isinstance(recorded, str) else None
