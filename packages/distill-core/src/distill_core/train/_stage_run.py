"""The objects of a stage while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..experiment import StageProgress
from ._distiller import Distiller
from ._modes import set_modes
from ._resolved_stage import ResolvedStage
from .step import LossScales, Schedules, explained_step
from .teachers import FrozenModels


@dataclass
class StageRun:
    """The objects that exist while a stage runs; `connect` sets the last four."""

    stage: ResolvedStage
    loader: Any  # the `Loader`; None in a preview of data that are not read
    steps_per_epoch: int
    distiller: Distiller
    trainable: dict[str, nn.Parameter]
    required_grad: list[tuple[nn.Parameter, bool]]
    optimizer: Any
    scheduler: Any
    schedules: Schedules
    frozen: FrozenModels
    loss_scales: LossScales
    is_watched: bool = True  # whether the losses of the next batch are called under a LossWatch
    module: Any = None
    update: Any = None
    parallel: Any = None
    backward: Any = None

    @property
    def num_steps(self) -> int:
        """The number of optimizer steps of the stage."""
        return self.stage.num_steps(self.steps_per_epoch)

    @property
    def num_epochs(self) -> int:
        """The number of epochs of the stage; the last one may be cut short."""
        return self.stage.num_epochs(self.steps_per_epoch)

    def weights(self, index: int, step: int) -> dict[str, float]:
        """Return the weight of each term at a step of the stage with this index; sets everything else that is scheduled."""
        if self.schedules.constant is not None:
            return self.schedules.constant
        return self.schedules.at(StageProgress(index, step, self.num_steps, self.num_steps / self.steps_per_epoch))

    def explained(self, batch: Mapping[str, Any], num_samples: int) -> contextlib.AbstractContextManager[None]:
        """Return the context of a step's forward; that of the first step also watches the losses."""
        is_watched, self.is_watched = self.is_watched, False
        is_full = num_samples >= self.loader.batch_size  # the first batch of a resumed run may be the last of its epoch
        return explained_step(self.distiller, batch, num_samples, is_watched=is_watched, is_full=is_full)

    def set_modes(self, models: Mapping[str, nn.Module]) -> None:
        """Set the modes again, for an epoch."""
        set_modes(self.distiller, models, self.trainable, self.stage)

    def end(self) -> None:
        """Remove the hooks and restore `requires_grad` of every tensor."""
        self.distiller.detach()
        self.frozen.restore()
        if self.parallel is not None:
            self.parallel.end()
        for parameter, required in self.required_grad:
            parameter.requires_grad_(required)
            parameter.grad = None
