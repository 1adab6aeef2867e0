"""`--resume --change`: which keys of a file may differ from the run that it goes on with, and the record of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Document, read
from ._exit import refuse
from ._flatten import leaves, shown

_ANY_TIME = frozenset("about test log_every timeout nonfinite max_nonfinite".split())
_OF_STAGE = frozenset("epochs scheduler scheduler_step".split())
_WORKERS = frozenset("workers num_workers".split())
_CHOICE = re.compile(r"callbacks\.\d+\.(best|mode|split)")
_MISSING = object()

Changes = dict[str, tuple[Any, Any]]


def newest_config(folder: Path, name: str) -> Path:
    """Return the newest version of a file of a run: `config.resolved.2.yaml` after the first change.

    Args:
        folder: The folder of a run.
        name: The file's name before any change.
    """
    return folder / name if (number := _num_versions(folder, name)) < 2 else numbered(folder, name, number)


def numbered(folder: Path, name: str, number: int) -> Path:
    """Return the path of a version of a file: `config.resolved.yaml`, 2 → `config.resolved.2.yaml`."""
    stem, _, suffix = name.rpartition(".")
    return folder / f"{stem}.{number}.{suffix}"


def next_version(folder: Path, name: str) -> int:
    """Return the number of the next version of a file of a run, from 2."""
    return max(1, _num_versions(folder, name)) + 1


def changes_of(old: Path, new: Document) -> Changes:
    """Return which keys of a file differ from a resolved one: key → then, now; None where there is no such key."""
    before, after = leaves(read(old).root), leaves(new.root)
    keys = list(dict.fromkeys([*before, *after]))
    return {
        key: (before.get(key), after.get(key)) for key in keys if before.get(key, _MISSING) != after.get(key, _MISSING)
    }


def refuse_changes(folder: Path, changes: Changes, *, change: bool) -> None:
    """Refuse changes of a file that would change what was trained so far, and all of them without `--change`.

    Args:
        folder: The folder of the run.
        changes: What `changes_of` returns.
        change: Whether `--change` was given.

    Raises:
        ConfigError: There are such changes.
    """
    stage = _stage_of(folder)
    refused = [key for key in changes if not _is_future(key, stage) or _is_other_choice(key, changes)]
    keys = refused if change else list(changes)
    if change and not refused:
        return
    message = f"the run in {folder} is of another experiment: " + "; ".join(_line(key, changes[key]) for key in keys)
    if change:
        refuse(message, f"{keys[0]} would change what was trained so far; choose another --output")
    if refused:
        refuse(
            message, f"give the file and the changes that are in {folder / 'command.txt'}, or choose another --output"
        )
    refuse(message, "none of these changes what was trained so far: `--resume --change` accepts them")


def _is_future(key: str, stage: int) -> bool:
    """Whether a key concerns only what comes after a checkpoint of this stage."""
    parts = key.split(".")
    if parts[0] in (*_ANY_TIME, "callbacks"):
        return True
    if parts[0] == "data":
        return parts[1:2] != ["train"] or not _WORKERS.isdisjoint(parts)
    if parts[0] == "stages" and len(parts) > 1:
        number = int(parts[1])
        own = number == stage and parts[2:3] and parts[2] in _OF_STAGE
        return number > stage or bool(own) or (parts[2:3] == ["data"] and not _WORKERS.isdisjoint(parts))
    return False


def _is_other_choice(key: str, changes: Changes) -> bool:
    """Whether the best is chosen otherwise than before; a callback that only has another index chooses the same."""
    match = _CHOICE.fullmatch(key)
    if match is None:
        return False
    pairs = [pair for name, pair in changes.items() if (other := _CHOICE.fullmatch(name)) and other[1] == match[1]]
    then, now = (sorted(str(pair[side]) for pair in pairs) for side in (0, 1))
    return then != now


def _line(key: str, change: tuple[Any, Any]) -> str:
    then, now = (shown(value) for value in change)
    return f"{key} was {then} and is {now}"


def _stage_of(folder: Path) -> int:
    """The stage of the newest checkpoint; the last one imaginable if that cannot be read, so that nothing is future."""
    checkpoints = folder / "checkpoints"
    try:
        name = (checkpoints / "latest").read_text(encoding="utf-8").strip()
        position: Mapping[str, int] = json.loads((checkpoints / name / "state.json").read_text())["position"]
        return int(position["stage"])
    except (OSError, ValueError, LookupError, TypeError):
        return 1 << 30


def _num_versions(folder: Path, name: str) -> int:
    stem, _, suffix = name.rpartition(".")
    pattern = re.compile(rf"{re.escape(stem)}\.(\d+)\.{re.escape(suffix)}")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(match.group(1)) for match in map(pattern.fullmatch, names) if match), default=0)
