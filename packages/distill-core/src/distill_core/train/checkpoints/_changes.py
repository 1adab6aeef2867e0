"""Resuming with changes: which differences from the checkpoint's run are accepted, and their record."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import TrainingError

CHANGES = "changes.jsonl"
PROMISE = "from here on the results are not promised to be bit for bit those of an undisturbed run"
_LENGTHS = {"epochs": "epoch", "steps": "stage_step"}  # key → its count in a checkpoint
_BY_STAGE = ("losses", "accumulate", "samples", "batch_size")

logger = logging.getLogger("distill")

Difference = tuple[Any, Any]


def accept_changes(
    saved: Mapping[str, Any], new: Mapping[str, Any], position: Mapping[str, int], *, change: bool
) -> dict[str, Difference]:
    """Return the differences between an experiment and that of a checkpoint: key → old, new value.

    Args:
        saved: The identity in the checkpoint.
        new: The identity of the experiment that resumes it.
        position: The stage, epoch, batch and steps of the checkpoint.
        change: Whether to accept differences that do not concern what was trained so far.

    Raises:
        TrainingError: A difference is not accepted.
    """
    keys = sorted(new.keys() | saved.keys())
    differences = {key: (saved.get(key), new.get(key)) for key in keys if saved.get(key) != new.get(key)}
    refused = {key: difference for key, difference in differences.items() if not _is_future(key, *difference, position)}
    if refused or (differences and not change):
        lines = [
            f"{key}: {then!r} then, {now!r} now" for key, (then, now) in (refused if change else differences).items()
        ]
        message = "\n  ".join(["this is not the run that was interrupted:", *lines])
        hint = "none of these changes what was trained so far: `--resume --change` accepts them"
        if change:
            hint = "this would change what was trained so far; begin a new run for it"
        raise TrainingError(message, hint="" if refused and not change else hint)
    return differences


def record_changes(folder: Path, changes: Mapping[str, Difference], **more: Any) -> None:
    """Append changes to `changes.jsonl` of a run, and log them, unless the record before is of the file of the same resume.

    Args:
        folder: The run's folder.
        changes: Key → old, new value.
        more: `config`, the file of a changed experiment, or `step`, that of the checkpoint.
    """
    text = "; ".join(f"{key}: {then} → {now}" for key, (then, now) in changes.items())
    if "config" in more or not _is_last_of_file(folder / CHANGES):
        logger.warning("resumed with changes (%s); %s", text, PROMISE)
    record = {
        "time": dt.datetime.now(dt.UTC).isoformat(),
        **more,
        "changes": {key: list(value) for key, value in changes.items()},
    }
    with (folder / CHANGES).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, default=str) + "\n")


def _is_last_of_file(file: Path) -> bool:
    """Return whether the last record is of a changed file, which was logged before the checkpoint was read."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    try:
        return bool(lines) and "config" in json.loads(lines[-1])
    except ValueError:
        return False


def _is_future(key: str, then: Any, now: Any, position: Mapping[str, int]) -> bool:
    """Return whether a difference concerns only what comes after a checkpoint."""
    stage = position["stage"]
    if key in ("callbacks", "processes"):  # the samples of an update stay the same, see `batch_size`
        return True
    if key == "torch":
        return str(then).split(".")[:2] == str(now).split(".")[:2]
    if not isinstance(then, list) or not isinstance(now, list) or min(len(then), len(now)) <= stage:
        return False
    if key in _LENGTHS:
        is_same = now[stage] == then[stage]
        is_longer = None not in (then[stage], now[stage]) and now[stage] >= position[_LENGTHS[key]]
        return then[:stage] == now[:stage] and (is_same or is_longer)
    if key == "schedules":
        return then[:stage] == now[:stage]
    return key in _BY_STAGE and then[: stage + 1] == now[: stage + 1]
