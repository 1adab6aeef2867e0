"""Caches of an experiment without training: the cached models of each stage, and building of their caches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..data import BatchPlan, Loader, SeedPath
from ..train import first_batch, prepare_stage
from ..train.teachers import CachedSource, place_models

if TYPE_CHECKING:
    from ..train import Trainer


@dataclass(frozen=True)
class StoredView:
    """A view of a cache that has been computed and stored.

    Attributes:
        model: The model whose outputs are stored.
        view: Number of the view, from 1.
        num_views: Number of views of the cache.
        file: The file.
    """

    model: str
    view: int
    num_views: int
    file: Path

    def __str__(self) -> str:
        return f"{self.model}: view {self.view} of {self.num_views} is in {self.file}"


def build_caches(trainer: Trainer, report: Callable[[StoredView], None]) -> None:
    """Compute and store all views of all cached models, stage by stage.

    Args:
        trainer: The run that will read the caches; it is not started.
        report: Called for each view.
    """
    caches = trainer.caches
    for _, sources in cached_stages(trainer):
        for source in sources:
            for view in range(caches.views or 1):
                caches.complete(source, view)
                file = source.cache.path(view)  # type: ignore[union-attr]
                report(StoredView(source.name, view + 1, caches.views or 1, file))


def cached_stages(trainer: Trainer, *, writing: bool = True) -> Iterator[tuple[Loader, list[CachedSource]]]:
    """Yield the loader and the cached models of each stage, with their caches opened if `writing`.

    A model that learns in one stage and is frozen in a later one is omitted: its values are known only during the run.
    """
    learnt: set[str] = set()
    place_models(trainer.models, trainer.experiment, trainer.stages, trainer.device)
    for index, stage in enumerate(trainer.stages):
        loader, start = stage.loader(trainer.experiment), SeedPath(trainer.experiment.seed, index)
        batch = functools.partial(_first_batch, trainer, loader, start)
        run = prepare_stage(
            trainer.models,
            stage,
            index,
            loader,
            batch,
            trainer.device,
            trainer.ema.names,
            trainer.caches,
            seed=start.seed,
        )
        try:
            if writing:
                trainer.caches.open(trainer.cache_inputs(loader))
            with torch.no_grad(), trainer.autocast():
                yield loader, [source for source in trainer.caches.sources if source.name not in learnt]
            learnt |= {name.split(".")[0] for name in run.trainable}
        finally:
            run.end()
            trainer.caches.end()


def _first_batch(trainer: Trainer, loader: Loader, start: SeedPath) -> dict[str, Any]:
    return trainer.moved(first_batch(loader, start))


def view_batches(plan: BatchPlan, view: int, loader: Loader, trainer: Trainer) -> Iterator[dict[str, Any]]:
    """Yield the batches of a plan with the augmentation of a view, on the device."""
    seed_path = trainer.caches.seed_path(SeedPath(trainer.experiment.seed, 0, view))
    for batch in loader.batches(seed_path, plan=plan):
        yield trainer.moved(batch)
