"""How what a stage trains comes to new weights: in this process alone, together with others, or through DeepSpeed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..distributed import world_size
from ..errors import TrainingError
from ..experiment import Experiment
from ._backward import make_backward
from ._compiled import compiled
from ._deepspeed import ZeroEngine
from ._finite_guard import FiniteGuard
from ._gradients import SharedGradients
from ._kept_buffers import KeptBuffers
from ._stage_run import StageRun
from ._update import Update


def connect(
    run: StageRun,
    experiment: Experiment,
    prepare: Callable[..., Any],
    scaler: torch.amp.GradScaler | None,
    device: torch.device,
) -> None:
    """Give a stage its module as prepared and compiled, its backward pass and its update.

    Args:
        run: The stage.
        experiment: Says how to compile, to spread and what to do with numbers that are not finite.
        prepare: Wraps the module for mixed precision.
        scaler: The loss scaler of fp16, if any.
        device: Where all is.

    Raises:
        TrainingError: DeepSpeed is asked for and is not installed, or with the loss scaler of fp16.
    """
    module = compiled(run.distiller, experiment.compile)
    run.is_watched = not experiment.compile  # a compiled graph shows nothing of what its losses do
    run.module = prepare(module, evaluation_mode=True)  # precision; no DDP, see _gradients
    sticky, clip = experiment.nonfinite != "skip", run.stage.clip_grad_norm
    learning: Any = run.trainable.values()
    buffers = KeptBuffers(run.distiller)
    if experiment.parallel == "deepspeed" and world_size() > 1:
        if scaler:
            message = "parallel: deepspeed has no place for the loss scaler of fp16\n  hint: precision: bf16"
            raise TrainingError(message)
        engine = ZeroEngine(
            run.module,
            learning,
            run.optimizer,
            clip_grad_norm=clip,  # type: ignore[arg-type]
            buffers=buffers,
            sticky=sticky,
        )
        run.gradients = run.backward = run.update = engine
        return
    run.gradients = SharedGradients(run.distiller)
    run.backward = make_backward(run, scaler, is_compiled=bool(experiment.compile))
    guard = FiniteGuard(run.optimizer, device, buffers, sticky=sticky)
    run.update = Update(run.optimizer, learning, clip, scaler, guard)  # type: ignore[arg-type]
