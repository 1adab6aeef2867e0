"""The batches of an epoch with their loss scales, read ahead where an update must be known before its first step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ..data import BatchPlan, SeedPath, Stream, seed_torch
from ._stage_run import StageRun
from .step import LossScale, Values
from .teachers import Caches


def scaled_batches(
    run: StageRun,
    caches: Caches,
    plan: BatchPlan,
    seed_path: SeedPath,
    start: int,
    *,
    prepare: Callable[[dict[str, Any]], dict[str, Any]],
    autocast: Callable[[], contextlib.AbstractContextManager[Any]],
    seeds: Sequence[int],
    device: torch.device,
) -> Iterator[tuple[dict[str, Any], LossScale]]:
    """Pair the remaining batches of an epoch with their loss scales.

    Args:
        run: The stage.
        caches: The caches of frozen models.
        plan: The batches of the epoch.
        seed_path: The epoch.
        start: Index of the first batch.
        prepare: Moves a batch to the device.
        autocast: Returns the context of the run's mixed precision.
        seeds: The seed of each batch.
        device: Device of this process.
    """

    def before(index: int, batch: dict[str, Any], models: Sequence[str]) -> tuple[dict[str, Any], Values]:
        """Run frozen models as the step would run them."""
        with caches.at_batch(index):
            moved = prepare(batch)
            seed_torch(seeds[index], device)
            with autocast():
                return moved, run.distiller.before(moved, models)

    batches = run.loader.batches(caches.seed_path(seed_path), start=start, plan=plan)
    ahead = not isinstance(run.loader, Stream)
    return run.loss_scales.of_batches(batches, plan, start, run.stage.accumulate, before, ahead=ahead)
