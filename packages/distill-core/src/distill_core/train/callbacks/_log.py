"""Logs of a run: `metrics.jsonl` and TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import DistillError
from ...records import strict_json, write_record
from .._state import Run
from ._callback import Callback


class MetricsLog(Callback):
    """Appends each record to `metrics.jsonl`.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_stage_start(self, run: Run) -> None:
        """Start the file; of a resumed run keep the lines up to the checkpoint."""
        if not run.is_main:
            return
        content = self.path.read_bytes() if self.path.is_file() else None
        position = (run.state.stage, run.state.step)
        lines = (content or b"").splitlines(keepends=True)
        kept = b"".join(line for line in lines if _is_known(line, position))
        if kept != content:
            write_record(self.path, kept)

    def on_log(self, run: Run, record: dict[str, Any]) -> None:
        """Append one line."""
        with self.path.open("a") as file:
            file.write(strict_json(record) + "\n")


def _is_known(line: bytes, position: tuple[int, int]) -> bool:
    """Return whether a line is complete and not after a position (stage, step)."""
    try:
        record = json.loads(line)
        return line.endswith(b"\n") and (record["stage"], record["step"]) <= position
    except (ValueError, TypeError, LookupError, RecursionError):  # a line that was cut short by a kill, or another file
        return False


def numbers_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a line of `metrics.jsonl` for a tracker, by `split/name`.

    >>> numbers_of({"split": "train", "step": 3, "loss": 0.5, "losses": {"kd": 0.25}, "lr": None})
    {'train/loss': 0.5, 'train/losses/kd': 0.25}
    """
    numbers = {**{name: record.get(name) for name in ("loss", "lr", "grad_norm")}, **record.get("metrics", {})}
    numbers |= {f"losses/{name}": value for name, value in record.get("losses", {}).items()}
    return {f"{record['split']}/{name}": value for name, value in numbers.items() if isinstance(value, int | float)}


class TensorBoard(Callback):
    """Writes losses, learning rate and metrics for TensorBoard into `tensorboard/` of the run folder.

    Raises:
        DistillError: The package `tensorboard` is not installed.
    """

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            message = "TensorBoard logging needs the package tensorboard"
            raise DistillError(message, hint="pip install 'distill-core[tensorboard]'") from error
        self._make = SummaryWriter
        self._writer: Any = None

    def on_log(self, run: Run, record: dict[str, Any]) -> None:
        """Write each number of the record under `split/name`."""
        if self._writer is None:
            self._writer = self._make(str((run.output or Path()) / "tensorboard"))
        for name, value in numbers_of(record).items():
            self._writer.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
