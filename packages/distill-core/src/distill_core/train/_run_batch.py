"""The forward and backward pass of one batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..layers import checks_on_every_device
from ._stage_run import StageRun
from .step import LossScale, explain, scaled_backward


def run_batch(
    run: StageRun,
    batch: dict[str, Any],
    weights: Mapping[str, float],
    scale: LossScale,
    num_samples: int,
    *,
    last: bool,
    is_first: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add the gradients of a batch; return the objective and its terms as they are logged.

    Args:
        run: The stage.
        batch: The batch, on the device.
        weights: The weight of each term.
        scale: The scale of the batch in its update.
        num_samples: The number of its samples.
        last: Whether this is the last batch before the update.
        is_first: Whether this is the first update of the stage, in which targets are checked on every device.
    """
    if not is_first and not run.is_watched:  # almost all batches: contexts would cost as much as a small layer
        try:
            return scaled_backward(run.backward, batch, weights, scale, last=last)
        except Exception as error:
            explain(run.distiller, batch, num_samples, error)
            raise
    with run.explained(batch, num_samples), checks_on_every_device(is_first):
        return scaled_backward(run.backward, batch, weights, scale, last=last)
