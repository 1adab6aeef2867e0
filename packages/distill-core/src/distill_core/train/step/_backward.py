"""From a batch to gradients: in one backward pass, or in two where the gradient of some losses is apart."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import TrainingError, WiringError
from ...experiment import Experiment, Stage
from ...optim import SplitOptimizer
from .._distiller import NOTHING
from ..parallel import SharedGradients

if TYPE_CHECKING:
    from .._stage import StageRun

Losses = tuple[Tensor, dict[str, Tensor]]


class Backward:
    """Adds the gradients of a batch to those that are there.

    Args:
        module: The distiller, as prepared and compiled.
        gradients: EMA them over processes.
        scaler: The loss scaler of fp16, if any.
    """

    def __init__(
        self, module: Callable[..., Any], gradients: SharedGradients, scaler: torch.amp.GradScaler | None
    ) -> None:
        self.module, self.gradients, self.scaler = module, gradients, scaler

    def __call__(
        self,
        batch: Mapping[str, Any],
        weights: Mapping[str, float | Tensor],
        share: float,
        *,
        last: bool,
        given: Mapping[str, Any] = NOTHING,
    ) -> Losses:
        """Forward and backward.

        Args:
            batch: Fields by name.
            weights: The weight of each term.
            share: What the gradient is multiplied by.
            last: Whether this is the last batch before the update.
            given: The values of frozen models that ran before.

        Returns:
            The objective and its terms, without a graph.
        """
        with self.gradients.averaged(last=last):
            (total,), terms = self.module(batch, weights, *([given] if given else []))
            scaled = total if share == 1 else total * share
            (scaled if self.scaler is None else self.scaler.scale(scaled)).backward()
        return total.detach(), terms


class SplitBackward:
    """The same in two backward passes, the first one for the terms that are apart.

    Args:
        module: The distiller, as prepared and compiled.
        gradients: EMA them over processes.
        optimizer: Keeps the gradients of the first pass.
        is_compiled: Whether the module is compiled.
    """

    def __init__(
        self, module: Callable[..., Any], gradients: SharedGradients, optimizer: SplitOptimizer, *, is_compiled: bool
    ) -> None:
        self.module, self.gradients, self.optimizer = module, gradients, optimizer
        self.is_compiled = is_compiled

    def __call__(
        self,
        batch: Mapping[str, Any],
        weights: Mapping[str, float | Tensor],
        share: float,
        *,
        last: bool,
        given: Mapping[str, Any] = NOTHING,
    ) -> Losses:
        """As `Backward` does."""
        with _kept_buffers() if self.is_compiled else contextlib.nullcontext():
            (task, kd), terms = self.module(batch, weights, *([given] if given else []))
            with self.optimizer.separate(), self.gradients.averaged(last=last):
                (kd if share == 1 else kd * share).backward(retain_graph=True)
            with self.gradients.averaged(last=last):
                (task if share == 1 else task * share).backward()
        return task.detach() + kd.detach(), terms


def make_backward(run: StageRun, scaler: torch.amp.GradScaler | None, *, is_compiled: bool) -> Backward | SplitBackward:
    """That of a stage."""
    if isinstance(run.optimizer, SplitOptimizer):
        return SplitBackward(run.module, run.gradients, run.optimizer, is_compiled=is_compiled)
    return Backward(run.module, run.gradients, scaler)


def _kept_buffers() -> Any:
    """A compiled backward pass writes over what the forward pass saved, and here it is needed twice."""
    return torch._functorch.config.patch(donated_buffer=False)  # noqa: SLF001  torch's own advice names it


def refuse_apart(experiment: Experiment, stages: list[Stage]) -> None:
    """Refuse terms that are apart where the run has one gradient only.

    Raises:
        TrainingError: The run has a loss scaler, or models that are spread over processes.
    """
    apart = [f"stages.{number}.losses.{name}" for number, stage in enumerate(stages) for name in names_apart(stage)]
    if apart and experiment.precision == "fp16":
        message = (
            f"{apart[0]}: its gradient is apart, and the loss scaler of fp16 knows one only\n  hint: precision: bf16"
        )
        raise TrainingError(message)
    if apart and experiment.parallel != "ddp":
        message = f"{apart[0]}: its gradient is apart, and {experiment.parallel} keeps one only\n  hint: parallel: ddp"
        raise TrainingError(message)


def refuse_optimizer(stage: Stage, optimizer: Any, key: str) -> None:
    """Refuse an optimizer that is given two gradients and takes one, or the other way round.

    Args:
        stage: The stage.
        optimizer: Its optimizer.
        key: Where the stage stands, `stages.0`.

    Raises:
        WiringError: They do not fit.
    """
    apart, terms = names_apart(stage), stage.losses
    kind = type(optimizer).__name__
    if apart and not isinstance(optimizer, SplitOptimizer):
        message = f"{key}.losses.{apart[0]}: its gradient is apart, and {kind} takes one only\n  hint: distill_core.optim.DOT takes two"
        raise WiringError(message)
    if not apart and isinstance(optimizer, SplitOptimizer):
        message = f"{key}.optimizer: {kind} takes two gradients, and no loss is apart\n  hint: `separate_gradient: true` for those of distillation"
        raise WiringError(message)
    if apart and len(apart) == len(terms):  # type: ignore[arg-type]
        message = f"{key}.losses: all are apart, and none is the task's\n  hint: omit `separate_gradient` of the task's"
        raise WiringError(message)


def names_apart(stage: Stage) -> list[str]:
    """The terms whose gradient is apart."""
    return [name for name, term in stage.losses.items() if term.separate_gradient]  # type: ignore[union-attr]
