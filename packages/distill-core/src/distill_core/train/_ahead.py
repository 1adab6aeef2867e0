"""The batches of an epoch, read ahead where an update must be known before its first step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..data import SeedPath, seed_torch
from .step import LossScale, Values

if TYPE_CHECKING:
    from ._stage import StageRun
    from ._trainer import Trainer


def shared_batches(trainer: Trainer, run: StageRun, seed_path: SeedPath) -> Iterator[tuple[dict[str, Any], LossScale]]:
    """Pair the rest of an epoch's batches with their shares of the updates.

    Args:
        trainer: The run, at the first of these batches.
        run: Its stage.
        place: The epoch.
    """

    def before(number: int, batch: dict[str, Any], models: Sequence[str]) -> tuple[dict[str, Any], Values]:
        """Run frozen models as the step would run them."""
        at, trainer.batch = trainer.batch, number  # caches ask for it
        moved = trainer.moved(batch)
        seed_torch(trainer.seeds[number], trainer.device)
        with trainer.accelerator.autocast():
            values = run.distiller.before(moved, models)
        trainer.batch = at
        return moved, values

    batches = run.loader.batches(trainer.caches.seed_path(seed_path), start=trainer.batch, plan=trainer.plan)
    accumulate = int(run.stage.accumulate)  # type: ignore[arg-type]
    return run.shares.of_batches(batches, trainer.plan, trainer.batch, accumulate, before)
