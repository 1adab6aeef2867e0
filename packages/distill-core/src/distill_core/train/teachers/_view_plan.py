"""What repeats when a view is shown again: each sample's augmentation or, with Mixup, whole batches.

Where samples are mixed with each other, or come several times in a batch, what a sample looks like follows from its batch.
So there the batches of a view come back as they were, in another order, and a cache holds a row for each position in the view
instead of one for each sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...data import BatchPlan, Loader, SeedPath, derive_seed
from ...distributed import rank, world_size


def is_mixed(loader: Loader) -> bool:
    """Return whether a sample depends on the batch that it is in."""
    return loader.mix is not None or loader.repeats > 1


def num_rows(loader: Loader) -> int:
    """Return the number of rows of a cache: one for each position in a view, or one for each sample."""
    return loader.samples_per_epoch if is_mixed(loader) else loader.num_samples


def plan_of_view(loader: Loader, view: SeedPath, seed_path: SeedPath) -> tuple[BatchPlan, Sequence[Tensor]]:
    """Return the batches of an epoch that shows a view, and the cache rows of each.

    Args:
        loader: The loader of the stage.
        view: The seed path of the view.
        seed_path: The epoch.
    """
    if not is_mixed(loader):
        plan = loader.plan(seed_path, even=True)
        # A row is of a sample and a view, so a sample that comes several times is the same each time.
        return replace(plan, repeats=()), plan.indices
    plan, rows = loader.plan(view, even=True), _positions(loader, view)
    count = len(rows)
    generator = torch.Generator().manual_seed(derive_seed(seed_path.seed, seed_path.stage, seed_path.epoch))
    order = torch.randperm(count, generator=generator).tolist() if _is_drawn(loader) else list(range(count))
    return plan.pick(order), [rows[number] for number in order]


def plan_of_rows(loader: Loader, view: SeedPath, missing: Tensor) -> tuple[BatchPlan, Sequence[Tensor]]:
    """Return this process's batches that have the rows `missing` (rows,) of a view, and the rows of each."""
    if not is_mixed(loader):
        own = missing.tensor_split(world_size())[rank()]
        pieces = [piece for piece in torch.split(own, loader.batch_size) if len(piece)]
        return BatchPlan(pieces, [len(piece) for piece in pieces]), pieces
    plan, rows = loader.plan(view, even=True), _positions(loader, view)
    wanted = torch.zeros(num_rows(loader), dtype=torch.bool)
    wanted[missing] = True
    chosen = [number for number, own in enumerate(rows) if wanted[own].any()]
    # Rows that are in no batch are never read; they complete the view.
    rest = missing[missing >= sum(plan.global_sizes)].tensor_split(world_size())[rank()]
    pieces = [each for each in torch.split(rest, loader.batch_size) if len(each)]
    order, times = loader.order(view), loader.times(view)
    repeats = [times[each] for each in pieces] if times is not None else ()
    others = BatchPlan([order[each] for each in pieces], [len(each) for each in pieces], repeats=repeats)
    return plan.pick(chosen) + others, [*(rows[number] for number in chosen), *pieces]


def _is_drawn(loader: Loader) -> bool:
    """Return whether the loader itself draws the order; that of a sampler is kept."""
    return loader.shuffle or loader.weights is not None


def _positions(loader: Loader, view: SeedPath) -> Sequence[Tensor]:
    """Return for each batch of the view the positions of its samples in the order of the view."""
    return loader.plan(view, even=True, order=torch.arange(loader.samples_per_epoch)).indices
