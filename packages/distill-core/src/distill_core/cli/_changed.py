"""`--resume --change`: keys of a file that may differ from the run that is resumed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Document, read
from ._exit import refuse
from ._flatten import leaves, to_yaml
from ._run_files import CODE, COMMAND

_ANY_TIME = frozenset("about test log_every log_grad_norm timeout nonfinite max_nonfinite".split())
_OF_STAGE = frozenset("epochs steps scheduler scheduler_step".split())
_WORKERS = frozenset("workers num_workers".split())
_SELECTION = re.compile(r"callbacks\.\d+\.(best|mode|split)")
_MISSING = object()

Changes = dict[str, tuple[Any, Any]]


def changes_of(old: Path, new: Document) -> Changes:
    """Return the keys of a file that differ from a resolved one: key → (old, new value), None where a key is missing."""
    before, after = leaves(read(old).root), leaves(new.root)
    keys = list(dict.fromkeys([*before, *after]))
    return {
        key: (before.get(key), after.get(key)) for key in keys if before.get(key, _MISSING) != after.get(key, _MISSING)
    }


def refuse_changes(folder: Path, changes: Changes, *, change: bool) -> None:
    """Refuse changes that affect what was trained so far, and any change without `--change`.

    Args:
        folder: Output folder of the run.
        changes: The return value of `changes_of`.
        change: Whether `--change` was given.

    Raises:
        ConfigError: There are such changes.
    """
    stage = _stage_of(folder)
    refused = [key for key in changes if not _is_future(key, stage) or _changes_selection(key, changes)]
    keys = refused if change else list(changes)
    if change and not refused:
        return
    message = f"the run in {folder} is of another experiment: " + "; ".join(_line(key, changes[key]) for key in keys)
    if change:
        refuse(message, f"{keys[0]} would change what was trained so far; choose another --output")
    if refused:
        refuse(message, f"use the file and the overrides in {folder / COMMAND}, or choose another --output")
    if any(_is_code(key) for key in keys):
        hint = f"restore the modules from {folder}, or accept the changes with `--resume --change`"
        refuse(message, f"{hint} if they do not affect what was trained so far")
    refuse(message, "no change affects what was trained so far: accept the changes with `--resume --change`")


def _is_code(key: str) -> bool:
    """Return whether a key is that of a module; nothing shows what its change affects, so `--change` accepts it."""
    return key.startswith(f"{CODE}.")


def _is_future(key: str, stage: int) -> bool:
    """Return whether a key affects only what follows a checkpoint of this stage."""
    names = key.split(".")
    if names[0] in (*_ANY_TIME, "callbacks") or _is_code(key):
        return True
    if names[0] == "data":
        return names[1:2] != ["train"] or not _WORKERS.isdisjoint(names)
    if names[0] == "stages" and len(names) > 1:
        index = int(names[1])
        is_extension = index == stage and names[2:3] and names[2] in _OF_STAGE
        return index > stage or bool(is_extension) or (names[2:3] == ["data"] and not _WORKERS.isdisjoint(names))
    return False


def _changes_selection(key: str, changes: Changes) -> bool:
    """Return whether the best epoch is selected differently; a callback with a new index alone does not count."""
    match = _SELECTION.fullmatch(key)
    if match is None:
        return False
    pairs = [pair for name, pair in changes.items() if (other := _SELECTION.fullmatch(name)) and other[1] == match[1]]
    old, new = (sorted(str(pair[side]) for pair in pairs) for side in (0, 1))
    return old != new


def _line(key: str, change: tuple[Any, Any]) -> str:
    old, new = map(to_yaml, change)
    return f"{key} was {old} and is {new}"


def _stage_of(folder: Path) -> int:
    """Return the stage of the newest checkpoint; a huge number if it cannot be read, so that no key is in the future."""
    checkpoints = folder / "checkpoints"
    try:
        name = (checkpoints / "latest").read_text(encoding="utf-8").strip()
        position: Mapping[str, int] = json.loads((checkpoints / name / "state.json").read_text())["run"]
        return int(position["stage"])
    except (OSError, ValueError, LookupError, TypeError):
        return 1 << 30
