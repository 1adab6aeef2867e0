"""Experiment trackers by name, through accelerate."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...errors import DistillError, did_you_mean
from .._state import Run
from ._callback import Callback
from ._log import TensorBoard, numbers_of

logger = logging.getLogger("distill")

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")
_TELEMETRY = {"wandb": ("WANDB_ERROR_REPORTING", "false"), "mlflow": ("MLFLOW_DISABLE_TELEMETRY", "true")}
"""Variable and value with which a package does not report its own use, read when it is imported."""


class Track(Callback):
    """Logs losses, learning rate and metrics to experiment trackers: `tensorboard`, `wandb`, `mlflow` or `trackio`.

    `tensorboard` writes what the callback `TensorBoard` writes. Weights & Biases runs offline unless you are logged in or
    set `WANDB_MODE`. MLflow writes `mlflow.db` in the current folder unless `MLFLOW_TRACKING_URI` is set, and Trackio
    writes to its folder on this machine unless `TRACKIO_SPACE_ID` or `TRACKIO_SERVER_URL` is set. What W&B and MLflow
    report about their own use is switched off, unless `WANDB_ERROR_REPORTING` or `MLFLOW_DISABLE_TELEMETRY` is set.
    `metrics.jsonl` is written in any case. A resumed run continues the runs of the trackers; steps after its checkpoint
    are logged again, with the same numbers. A run that fails is marked as failed where the tracker has such a mark. A
    tracker that fails after its start is reported once as a warning and gets no further records; training goes on.

    Args:
        to: Name of the tracker, or a list of names.
        project: Name of the project, MLflow's experiment.

    Raises:
        DistillError: There is no such tracker, its package is not installed, or it cannot be started.
    """

    def __init__(self, to: str | Sequence[str], *, project: str = "distill") -> None:
        self.names = [to] if isinstance(to, str) else list(to)
        self.project = project
        for name in self.names:
            _require(name)
        self._tensorboard = TensorBoard() if "tensorboard" in self.names else None
        self._trackers: dict[str, Any] = {}
        self._run_ids: dict[str, str] = {}
        self._failed: set[str] = set()

    def on_log(self, run: Run, record: dict[str, Any]) -> None:
        """Log each number of the record under `split/name`; the first record starts the trackers."""
        if self._tensorboard is not None:
            self._tensorboard.on_log(run, record)
        values = numbers_of(record)
        for name in self.names:
            if name == "tensorboard" or name in self._failed:
                continue
            if name not in self._trackers:
                self._trackers[name], self._run_ids[name] = _start(name, self.project, run, self._run_ids.get(name))
            with self._failure_as_warning(name):
                self._trackers[name].log(values, step=record["step"])

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:
        """End the runs of the trackers."""
        while self._trackers:
            name, tracker = self._trackers.popitem()
            with self._failure_as_warning(name):
                tracker.finish()

    def close(self) -> None:
        """Close the files, and end the runs of the trackers as failed if the run has failed."""
        if self._tensorboard is not None:
            self._tensorboard.close()
        while self._trackers:
            name, tracker = self._trackers.popitem()
            with self._failure_as_warning(name):
                _fail(name, tracker)

    def state(self) -> dict[str, Any]:
        """Return the id of the run of each tracker."""
        return {"runs": self._run_ids}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue the runs of the trackers."""
        self._run_ids = dict(state.get("runs", {}))

    @contextmanager
    def _failure_as_warning(self, name: str) -> Iterator[None]:
        """Log an error of a started tracker and give it up: its retries would delay each further record."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each package has errors of its own
            self._trackers.pop(name, None)
            self._failed.add(name)
            logger.warning(
                "%s failed and gets no further records of this run, which goes on: %s", name, _first_line(error)
            )


def _require(name: str) -> None:
    if name not in TRACKERS:
        message = f"there is no tracker '{name}', accepted are {', '.join(TRACKERS)}"
        raise DistillError(message, hint=did_you_mean(name, TRACKERS))
    if name == "tensorboard":
        return  # the callback raises if it is not installed
    if name in _TELEMETRY:
        os.environ.setdefault(*_TELEMETRY[name])
    try:
        importlib.import_module(name)
    except ImportError as error:
        message = f"logging to {name} needs the package {name}"
        raise DistillError(message, hint=f"pip install {name}") from error


def _start(name: str, project: str, run: Run, resumed: str | None) -> tuple[Any, str]:
    """Return the started tracker of accelerate and the id of its run.

    Args:
        name: The tracker.
        project: Name of the project.
        run: The run that is logged.
        resumed: Id of the tracker's run to continue; None for a new one.

    Raises:
        DistillError: The tracker's package raises an error.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    label = run.output.name if run.output is not None else "run"
    suffix = uuid.uuid4().hex[:8]
    run_id = resumed or (f"{label}-{suffix}" if name == "trackio" else suffix)
    try:
        tracker = LOGGER_TYPE_TO_CLASS[name](
            project, **_options(name, run, label, run_id, is_resumed=resumed is not None)
        )
        tracker.start()
        if resumed is None:
            tracker.store_init_configuration({"about": run.experiment.about, "seed": run.experiment.seed})
    except Exception as error:  # each package has errors of its own
        message = f"{name} cannot be started: {_first_line(error)}"
        raise DistillError(message, hint=f"set {name} up, or remove it from `Track`") from error
    return tracker, tracker.tracker.info.run_id if name == "mlflow" else run_id


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _options(name: str, run: Run, label: str, run_id: str, *, is_resumed: bool) -> dict[str, Any]:
    """Return the options of a tracker of accelerate; MLflow chooses the id of a new run itself."""
    if name == "mlflow":
        return {"run_name": label, "run_id": run_id if is_resumed else None}
    if name == "trackio":  # the name is the id; `embed` would serve a page from a notebook
        return {"name": run_id, "resume": "allow", "embed": False}
    folder = None if run.output is None else str(run.output)
    return {"name": label, "id": run_id, "resume": "allow", "dir": folder, "mode": _wandb_mode()}


def _fail(name: str, tracker: Any) -> None:
    """End the run of a tracker as failed."""
    if name == "mlflow":
        importlib.import_module(name).end_run("FAILED")
    elif name == "wandb":
        tracker.tracker.finish(exit_code=1)
    else:
        tracker.finish()


def _wandb_mode() -> str:
    """Return `offline` unless the user is logged in or sets another mode."""
    wandb: Any = importlib.import_module("wandb")
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    if "prompt" in inspect.signature(wandb.login).parameters:
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    return "online" if getattr(getattr(wandb, "api", None), "api_key", None) else "offline"  # before 0.31
