"""The run's numbers: a line of JSON each, and TensorBoard where it is wanted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DistillError
from ...records import write_record
from ._callback import Callback

if TYPE_CHECKING:
    from .._trainer import Trainer


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
        content = self.path.read_bytes() if self.path.is_file() else None
        position = (trainer.stage_index, trainer.step)
        lines = (content or b"").splitlines(keepends=True)
        kept = b"".join(line for line in lines if _is_known(line, position))
        if kept != content:
            write_record(self.path, kept)

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


def _is_known(line: bytes, position: tuple[int, int]) -> bool:
    """Whether a line is complete and not after a position, stage and step."""
    try:
        record = json.loads(line)
        return line.endswith(b"\n") and (record["stage"], record["step"]) <= position
    except (ValueError, TypeError, LookupError, RecursionError):  # a line that a kill cut short, or one from elsewhere
        return False


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
