"""The callbacks that every run with a folder has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ._callback import Callback
from ._checkpoint import Checkpoint
from ._log import MetricsLog


def with_defaults(callbacks: Sequence[Callback], output: Path | None) -> list[Callback]:
    """Return the callbacks of a run in order: with a folder, also a log and a checkpoint.

    Args:
        callbacks: The callbacks of the experiment and of the caller.
        output: The run's folder, if any.
    """
    complete = list(callbacks)
    if output:
        complete.append(MetricsLog(output / "metrics.jsonl"))
        if not any(isinstance(callback, Checkpoint) for callback in complete):
            complete.append(Checkpoint())
    return sorted(complete, key=lambda callback: isinstance(callback, Checkpoint))  # it saves the state of the others
