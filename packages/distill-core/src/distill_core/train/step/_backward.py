"""From a batch to gradients: one backward pass, or two where some losses have a separate gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...errors import TrainingError, WiringError
from ...experiment import Experiment
from ...optim import SplitOptimizer
from .._distiller import NOTHING
from .._resolved_stage import ResolvedStage
from ..parallel import DataParallel

Losses = tuple[Tensor, dict[str, Tensor]]


class Backward:
    """Accumulates the gradients of a batch.

    Args:
        module: The distiller, prepared and compiled.
        parallel: Averages the gradients over processes.
        scaler: The loss scaler of fp16, if any.
    """

    def __init__(self, module: Callable[..., Any], parallel: DataParallel, scaler: torch.amp.GradScaler | None) -> None:
        self.module, self.parallel, self.scaler = module, parallel, scaler

    def __call__(
        self,
        batch: Mapping[str, Any],
        weights: Mapping[str, float | Tensor],
        scale: float,
        *,
        last: bool,
        given: Mapping[str, Any] = NOTHING,
    ) -> Losses:
        """Run the forward and the backward pass.

        Args:
            batch: Fields by name.
            weights: The weight of each term.
            scale: Factor of the gradient.
            last: Whether this is the last batch before the optimizer step.
            given: The values of frozen models that have already run.

        Returns:
            The objective and its terms, without a graph.
        """
        with self.parallel.averaged(last=last):
            (total,), terms = self.parallel(self.module, batch, weights, *([given] if given else []))
            scaled = total if scale == 1 else total * scale
            (scaled if self.scaler is None else self.scaler.scale(scaled)).backward()  # type: ignore[no-untyped-call]
        return total.detach(), terms


class SplitBackward:
    """Accumulates two gradients of a batch in two backward passes, the second one for the separate terms.

    Args:
        module: The distiller, prepared and compiled.
        parallel: Averages the gradients over processes.
        optimizer: Keeps the gradients of the second pass.
        is_compiled: Whether the module is compiled.
    """

    def __init__(
        self, module: Callable[..., Any], parallel: DataParallel, optimizer: SplitOptimizer, *, is_compiled: bool
    ) -> None:
        self.module, self.parallel, self.optimizer = module, parallel, optimizer
        self.is_compiled = is_compiled

    def __call__(
        self,
        batch: Mapping[str, Any],
        weights: Mapping[str, float | Tensor],
        scale: float,
        *,
        last: bool,
        given: Mapping[str, Any] = NOTHING,
    ) -> Losses:
        """Run the forward and both backward passes. Arguments and result are those of `Backward`."""
        with _kept_buffers() if self.is_compiled else contextlib.nullcontext():
            with self.parallel.averaged(last=last):
                (task, kd), terms = self.parallel(self.module, batch, weights, *([given] if given else []))
                (task if scale == 1 else task * scale).backward(retain_graph=True)  # type: ignore[no-untyped-call]
            with self.optimizer.separate(), self.parallel.averaged(last=last):
                (separate,), _ = self.parallel(lambda: ((kd,), {}))
                (separate if scale == 1 else separate * scale).backward()  # type: ignore[no-untyped-call]
        return task.detach() + kd.detach(), terms


def make_backward(
    module: Callable[..., Any],
    parallel: DataParallel,
    optimizer: Any,
    scaler: torch.amp.GradScaler | None,
    *,
    is_compiled: bool,
) -> Backward | SplitBackward:
    """Return the backward pass that the optimizer needs. The arguments are those of the two classes."""
    if isinstance(optimizer, SplitOptimizer):
        return SplitBackward(module, parallel, optimizer, is_compiled=is_compiled)
    return Backward(module, parallel, scaler)


def _kept_buffers() -> Any:
    """Return a context in which a compiled backward pass keeps its saved tensors, which the second pass needs too."""
    return torch._functorch.config.patch(donated_buffer=False)  # noqa: SLF001  torch's own advice names it


def refuse_separate(experiment: Experiment, stages: list[ResolvedStage]) -> None:
    """Refuse terms with a separate gradient if the run supports only one gradient.

    Raises:
        TrainingError: The run has a loss scaler, or models that are sharded.
    """
    keys = [f"stages.{index}.losses.{name}" for index, stage in enumerate(stages) for name in separate_terms(stage)]
    if keys and experiment.precision == "fp16":
        message = "`separate_gradient: true` keeps two gradients, which fp16 loss scaling does not support"
        raise TrainingError(message, key=keys[0], hint="precision: bf16")
    if keys and experiment.parallel != "ddp":
        message = f"`separate_gradient: true` keeps two gradients, which {experiment.parallel} does not support"
        raise TrainingError(message, key=keys[0], hint="parallel: ddp")


def refuse_optimizer(stage: ResolvedStage, optimizer: Any, key: str) -> None:
    """Refuse an optimizer that expects another number of gradients than the losses of its stage give.

    Args:
        stage: The stage.
        optimizer: Its optimizer.
        key: Key of the stage, `stages.0`.

    Raises:
        WiringError: They do not match.
    """
    separate = separate_terms(stage)
    kind = type(optimizer).__name__
    if separate and not isinstance(optimizer, SplitOptimizer):
        message = f"its gradient is separate, but {kind} takes a single gradient"
        raise WiringError(message, key=f"{key}.losses.{separate[0]}", hint="distill_core.optim.DOT takes two")
    if not separate and isinstance(optimizer, SplitOptimizer):
        message = f"{kind} takes two gradients, but no loss has a separate one"
        raise WiringError(
            message, key=f"{key}.optimizer", hint="set `separate_gradient: true` for the distillation losses"
        )
    if separate and len(separate) == len(stage.losses):
        message = "every gradient is separate, so the task has none"
        raise WiringError(message, key=f"{key}.losses", hint="omit `separate_gradient` of the task's loss")


def separate_terms(stage: ResolvedStage) -> list[str]:
    """Return the names of the terms with a separate gradient."""
    return [name for name, term in stage.losses.items() if term.separate_gradient]
