"""The attributes and methods of a trainer that follow from its state, most of them for callbacks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..data import BatchPlan
from ..experiment import Experiment
from ..tree import channels_last, to_device
from ._resolved_stage import ResolvedStage
from ._stage_run import StageRun
from ._state import RunState


class TrainerView:
    """The base of `Trainer`; see `Run`."""

    experiment: Experiment
    stages: Sequence[ResolvedStage]
    state: RunState
    accelerator: Any  # of accelerate
    device: torch.device
    run: StageRun | None
    _plan: BatchPlan

    @property
    def is_main(self) -> bool:
        """True if this process logs and writes."""
        return bool(self.accelerator.is_main_process)

    @property
    def stage(self) -> ResolvedStage:
        """The current stage; the last one after training."""
        return self.stages[self.state.stage]

    @property
    def trainable(self) -> Mapping[str, nn.Parameter]:
        """The parameters that learn in the current stage."""
        return self.run.trainable if self.run else {}

    @property
    def optimizer(self) -> Any:
        """The optimizer of the current stage; None outside of a stage."""
        return self.run.optimizer if self.run else None

    @property
    def num_epochs(self) -> int:
        """The number of epochs of the current stage."""
        return self.run.num_epochs if self.run else 0

    @property
    def is_last_epoch(self) -> bool:
        """True if the stage ends with the current epoch."""
        return self.state.is_stopped or self.state.epoch == self.num_epochs

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches of this process in the current epoch."""
        return len(self._plan.indices)

    def stop_stage(self, reason: str) -> None:
        """End the current stage after this step."""
        self.state.stop_stage(reason)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context of the run's mixed precision."""
        return self.accelerator.autocast()  # type: ignore[no-any-return]

    def moved(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch on the device, in the memory format of the run."""
        moved: dict[str, Any] = batch if self.device.type == "cpu" else to_device(batch, self.device)
        return channels_last(moved) if self.experiment.channels_last else moved
