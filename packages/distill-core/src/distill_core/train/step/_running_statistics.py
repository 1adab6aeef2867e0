"""A note on BatchNorm layers whose running statistics cannot converge within a stage."""

from __future__ import annotations

import math
from collections.abc import Collection

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...errors import Problem
from .._distiller import Distiller

REMAINING = 0.1
"""Largest accepted weight of the initial mean and variance, 0 and 1, in the running ones at the end of a stage."""


def slow_statistics_note(distiller: Distiller, learning: Collection[int], num_batches: int, key: str) -> Problem | None:
    """Return a note if running statistics still depend on their initial values after a stage; None otherwise.

    Statistics move by `momentum` of the difference with each batch, so (1 − momentum)^batches of the initial values remain.
    Layers with other than initial statistics, as pretrained ones, count as converged.

    Args:
        distiller: The models, their modes set.
        learning: The `id` of each parameter that learns. Frozen models get their statistics back after the stage.
        num_batches: Number of training batches of the stage.
        key: The key of the stage, `stages.0`.
    """
    slowest, which = 1.0, ""
    for source in distiller.sources:
        parameters = {id(parameter) for parameter in source.model.parameters()}
        if parameters.isdisjoint(learning):
            continue
        for name, module in source.model.named_modules():
            if _is_initial(module) and module.momentum < slowest:
                slowest, which = module.momentum, f"{source.name}.{name}".rstrip(".")
    remaining = (1 - slowest) ** num_batches
    if not which or remaining <= REMAINING:
        return None
    enough = f"use at least {math.ceil(math.log(REMAINING) / math.log1p(-slowest))} batches, or " if slowest > 0 else ""
    message = (
        f"BatchNorm `{which}` has momentum {slowest:g}: after {num_batches} batches {remaining:.0%} of its running "
        "statistics are still the initial ones, with which the model is evaluated"
    )
    return Problem(message, key=key, hint=f"{enough}increase the momentum")


def _is_initial(module: nn.Module) -> bool:
    """Return whether a module is a BatchNorm in train mode, with a momentum and with initial statistics that are known."""
    if not isinstance(module, _BatchNorm) or not module.training or module.momentum is None:
        return False
    mean = module.running_mean
    return mean is not None and not mean.is_meta and not mean.any().item()
