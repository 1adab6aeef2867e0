"""Experiment trackers by name, through accelerate."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Sequence
from typing import Any

from ...errors import DistillError, did_you_mean
from .._state import Run
from ._callback import Callback
from ._log import TensorBoard, numbers_of

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


class Track(Callback):
    """Logs losses, learning rate and metrics to experiment trackers: `tensorboard`, `wandb`, `mlflow` or `trackio`.

    `tensorboard` writes what the callback `TensorBoard` writes. Weights & Biases runs offline unless you are logged in or set `WANDB_MODE`. MLflow and Trackio write to this machine
    unless you configure a server. `metrics.jsonl` is written in any case. A resumed run is a new run of the tracker.

    Args:
        to: Name of the tracker, or a list of names.
        project: Name of the project, MLflow's experiment.

    Raises:
        DistillError: There is no such tracker, or its package is not installed.
    """

    def __init__(self, to: str | Sequence[str], *, project: str = "distill") -> None:
        self.names = [to] if isinstance(to, str) else list(to)
        self.project = project
        for name in self.names:
            _require(name)
        self._tensorboard = TensorBoard() if "tensorboard" in self.names else None
        self._trackers: list[Any] | None = None

    def on_log(self, run: Run, record: dict[str, Any]) -> None:
        """Log each number of the record under `split/name`; the first record starts the trackers."""
        if self._trackers is None:
            self._trackers = [_start(name, self.project, run) for name in self.names if name != "tensorboard"]
        if self._tensorboard is not None:
            self._tensorboard.on_log(run, record)
        values = numbers_of(record)
        for tracker in self._trackers:
            tracker.log(values, step=record["step"])

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:
        """End the runs of the trackers."""
        if self._tensorboard is not None:
            self._tensorboard.on_fit_end(run, results)
        for tracker in self._trackers or ():
            tracker.finish()
        self._trackers = None


def _require(name: str) -> None:
    if name not in TRACKERS:
        message = f"there is no tracker '{name}', accepted are {', '.join(TRACKERS)}"
        raise DistillError(message, hint=did_you_mean(name, TRACKERS))
    if name == "tensorboard":
        return  # the callback raises if it is not installed
    try:
        importlib.import_module(name)
    except ImportError as error:
        message = f"logging to {name} needs the package {name}"
        raise DistillError(message, hint=f"pip install {name}") from error


def _start(name: str, project: str, run: Run) -> Any:
    """Return the started tracker of accelerate."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    label = run.output.name if run.output is not None else None
    options: dict[str, Any] = {"name": label}
    if name == "wandb":
        options |= {"dir": None if run.output is None else str(run.output), "mode": _wandb_mode()}
    if name == "mlflow":
        options = {"run_name": label}
    tracker = LOGGER_TYPE_TO_CLASS[name](project, **options)
    tracker.start()
    tracker.store_init_configuration({"about": run.experiment.about, "seed": run.experiment.seed})
    return tracker


def _wandb_mode() -> str:
    """Return `offline` unless the user is logged in or sets another mode."""
    wandb: Any = importlib.import_module("wandb")
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    if "prompt" in inspect.signature(wandb.login).parameters:
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    return "online" if getattr(getattr(wandb, "api", None), "api_key", None) else "offline"  # before 0.31
