"""Resume with changes: what may differ from the run that a checkpoint is of, and how the difference is recorded."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import Problem, TrainingError

CHANGES = "changes.jsonl"
PROMISE = "from here on the results are not promised to be bit for bit those of an undisturbed run"
_BY_STAGE = ("losses", "accumulate", "samples", "batch_size")

logger = logging.getLogger("distill")

Difference = tuple[Any, Any]


def accept_changes(
    saved: Mapping[str, Any], own: Mapping[str, Any], position: Mapping[str, int], *, change: bool
) -> dict[str, Difference]:
    """Return how an experiment differs from the one that a checkpoint is of: key → then, now.

    Args:
        saved: The identity in the checkpoint.
        own: The identity of the experiment that resumes it.
        position: The stage, epoch and batch of the checkpoint.
        change: Whether differences that cannot change the past are accepted.

    Raises:
        TrainingError: There is a difference that is not accepted.
    """
    keys = sorted(own.keys() | saved.keys())
    found = {key: (saved.get(key), own.get(key)) for key in keys if saved.get(key) != own.get(key)}
    refused = {key: difference for key, difference in found.items() if not _is_future(key, *difference, position)}
    if refused or (found and not change):
        lines = [f"{key}: {then!r} then, {now!r} now" for key, (then, now) in (refused if change else found).items()]
        message = "\n  ".join(["this is not the run that was interrupted:", *lines])
        hint = "none of these changes what was trained so far: `--resume --change` accepts them"
        if change:
            hint = "this would change what was trained so far; begin a new run for it"
        raise TrainingError(str(Problem(message, hint="" if refused and not change else hint)))
    return found


def record_changes(folder: Path, changes: Mapping[str, Difference], **more: Any) -> None:
    """Append changes to `changes.jsonl` of a run, and log them."""
    told = "; ".join(f"{key}: {then} → {now}" for key, (then, now) in changes.items())
    logger.warning("resumed with changes (%s); %s", told, PROMISE)
    record = {
        "time": dt.datetime.now(dt.UTC).isoformat(),
        **more,
        "changes": {key: list(value) for key, value in changes.items()},
    }
    with (folder / CHANGES).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, default=str) + "\n")


def _is_future(key: str, then: Any, now: Any, position: Mapping[str, int]) -> bool:
    """Whether a difference concerns only what comes after a checkpoint."""
    stage = position["stage"]
    if key == "callbacks":
        return True
    if key == "torch":
        return str(then).split(".")[:2] == str(now).split(".")[:2]
    if not isinstance(then, list) or not isinstance(now, list) or min(len(then), len(now)) <= stage:
        return False
    if key == "epochs":
        return then[:stage] == now[:stage] and now[stage] >= position["epoch"]
    if key == "schedules":
        return then[:stage] == now[:stage]
    return key in _BY_STAGE and then[: stage + 1] == now[: stage + 1]
