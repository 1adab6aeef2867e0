"""The run's numbers: a line of JSON each, and TensorBoard where it is wanted."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DistillError
from ._callback import Callback

if TYPE_CHECKING:
    from ._trainer import Trainer


class MetricsLog(Callback):
    """Appends each record to `metrics.jsonl`.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_stage_start(self, trainer: Trainer) -> None:
        """Begin the file; of a run that is taken up again keep what the checkpoint knows of."""
        if not trainer.is_main:
            return
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n") if self.path.is_file() else []
        position = (trainer.stage_index, trainer.step)
        kept = [line for line in map(_parsed, lines) if line and (line["stage"], line["step"]) <= position]
        unfinished = self.path.with_name(self.path.name + ".tmp")  # a kill must not cost the lines before it
        unfinished.write_text("".join(json.dumps(line) + "\n" for line in kept))
        os.replace(unfinished, self.path)

    def on_log(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """Write one line."""
        with self.path.open("a") as file:
            file.write(strict_json(record) + "\n")


def strict_json(value: Any, indent: int | None = None) -> str:
    """JSON as every reader takes it: numbers that are not finite become null.

    >>> strict_json({"top1": float("nan"), "loss": 0.5})
    '{"top1": null, "loss": 0.5}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:  # a line that a kill cut short
        return None
    return record if isinstance(record, dict) else None


class TensorBoard(Callback):
    """Writes losses, learning rate and metrics for TensorBoard into `tensorboard/` of the run folder.

    Raises:
        DistillError: The package `tensorboard` is not installed.
    """

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            message = (
                "TensorBoard logging needs the package tensorboard\n  hint: pip install 'distill-core[tensorboard]'"
            )
            raise DistillError(message) from error
        self._make = SummaryWriter
        self._writer: Any = None

    def on_log(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """Write each number of the record under `split/name`."""
        if self._writer is None:
            self._writer = self._make(str((trainer.output or Path()) / "tensorboard"))
        numbers = {"loss": record.get("loss"), "lr": record.get("lr"), **record.get("metrics", {})}
        numbers |= {f"losses/{name}": value for name, value in record.get("losses", {}).items()}
        for name, value in numbers.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"{record['split']}/{name}", value, record["step"])

    def on_fit_end(self, trainer: Trainer, results: dict[str, Any]) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
