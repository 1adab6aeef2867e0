"""The state of a run, and the interface of a run that callbacks see."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..distributed import rank
from ..experiment import Evaluation, Experiment
from ._resolved_stage import ResolvedStage

logger = logging.getLogger("distill")


@dataclass
class RunState:
    """The progress of a run, and what it has measured and trained.

    Attributes:
        stage: Index of the current stage, from 0.
        epoch: Current epoch of the stage, from 1; 0 before the first.
        batch: Number of completed batches of the epoch.
        step: Number of optimizer steps since the start of the run.
        stage_step: Number of optimizer steps since the start of the stage.
        measured: Split → metrics measured in this epoch, the newest ones.
        measured_at: Split → the value of `step` at which they were measured.
        stopped: The stages that a callback ended early, with the step and the reason.
        learnt: Names of the models that have been trained.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    stage_step: int = 0
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    measured_at: dict[str, int] = field(default_factory=dict)
    stopped: list[dict[str, Any]] = field(default_factory=list)
    learnt: set[str] = field(default_factory=set)

    @property
    def is_stopped(self) -> bool:
        """True if a callback has ended the current stage early."""
        return bool(self.stopped) and any(record["stage"] == self.stage for record in self.stopped)

    def begin_stage(self, index: int) -> None:
        """Move to the start of a stage."""
        self.stage, self.epoch, self.batch, self.stage_step = index, 0, 0, 0

    def stop_stage(self, reason: str) -> None:
        """Record and log that the current stage ends early."""
        self.stopped.append({**self.position(), "reason": reason})
        if rank() == 0:
            logger.info("stage %d stopped early at step %d: %s", self.stage + 1, self.step, reason)

    def position(self) -> dict[str, int]:
        """Return stage, epoch and step."""
        return {"stage": self.stage, "epoch": self.epoch, "step": self.step}

    def was_measured(self, split: str) -> bool:
        """Return whether the metrics of a split are those of the current step."""
        return self.measured_at.get(split) == self.step

    def state(self) -> dict[str, Any]:
        """Return the values for a checkpoint."""
        return {**vars(self), "learnt": sorted(self.learnt)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values that `state` returned."""
        vars(self).update({**state, "learnt": set(state["learnt"])})


class Store(Protocol):
    """The checkpoints of a run."""

    folder: Path
    keep: int

    def name(self, which: str) -> str | None:
        """Return the name of the `latest` or `best` checkpoint."""

    def warn_of_damaged_best(self) -> bool:
        """Return whether the best checkpoint is missing or damaged, which is logged."""


class Run(Protocol):
    """A run as callbacks see it.

    Attributes:
        state: How far the run is; read it, do not write to it.
        models: All models by name, the EMA copies included.
        weights: In `on_fit_end`, the unsharded weights of the trained models and EMA copies; empty before.
        experiment: The experiment that runs.
        output: Folder of the run, if any.
        store: Checkpoints of the run, if it has a folder.
        stages: All stages, with omitted fields filled in.
        stage: The current stage.
        trainable: The parameters that learn in the current stage, by name; empty outside of a stage.
        optimizer: The optimizer of the current stage; None outside of a stage.
        callbacks: All callbacks in order.
        steps_per_epoch: Number of optimizer steps in an epoch of the current stage.
        num_epochs: Number of epochs of the current stage; `steps` may cut the last one short.
        is_last_epoch: Whether the current epoch is the last one of the stage, as it is when a callback ends the stage.
        batches_per_epoch: Number of batches of this process in the current epoch.
        device: Device of this process.
        is_main: Whether this process logs and writes.
    """

    state: RunState
    models: dict[str, nn.Module]
    weights: Mapping[str, Mapping[str, Tensor]]
    experiment: Experiment
    output: Path | None
    stages: Sequence[ResolvedStage]
    steps_per_epoch: int
    device: torch.device

    @property
    def store(self) -> Store | None: ...
    @property
    def stage(self) -> ResolvedStage: ...
    @property
    def trainable(self) -> Mapping[str, nn.Parameter]: ...
    @property
    def optimizer(self) -> Any: ...
    @property
    def callbacks(self) -> Sequence[object]: ...
    @property
    def num_epochs(self) -> int: ...
    @property
    def is_last_epoch(self) -> bool: ...
    @property
    def batches_per_epoch(self) -> int: ...
    @property
    def is_main(self) -> bool: ...

    def evaluate(self, evaluation: Evaluation, *, split: str | None = None) -> dict[str, float]:
        """Return the metrics of the models as they are now. All processes call it together.

        Args:
            evaluation: The loader and the metrics.
            split: Log the metrics under this name, and keep them in `state.measured`.
        """

    def stop_stage(self, reason: str) -> None:
        """End the current stage after this step, as if it were its last one. All processes call it together.

        Args:
            reason: Logged, and written to `results.json`.
        """

    def save(self, *, best: bool = False) -> None:
        """Copy the state and start to write a checkpoint, if the run has a folder. All processes call it together."""

    def log(self, record: dict[str, Any]) -> None:
        """Pass a record to the callbacks, with stage, epoch and step added."""

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context of the run's mixed precision."""
