"""What of an epoch comes back with its view: the samples, in any order; or whole batches, where a batch is mixed.

Where samples are mixed with each other, or come several times in a batch, what a sample looks like follows from its batch.
So there the batches of a view come back as they were, in another order, and a cache holds a row for each place in the view
instead of one for each sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data import BatchPlan, Loader, Place, mix
from ..distributed import rank, world_size

Piece = tuple[Tensor, Tensor]
"""The samples (batch,) of a batch, and the rows (batch,) of a cache in which their values are."""


def is_mixed(loader: Loader) -> bool:
    """Whether a sample looks as it does because of the batch that it is in."""
    return loader.mix is not None or loader.repeats > 1


def plan_of_view(loader: Loader, view: Place, place: Place) -> tuple[BatchPlan, Sequence[Tensor]]:
    """The batches of an epoch that shows a view, and the rows of a cache for each.

    Args:
        loader: What is trained on.
        view: Where the chance of the view comes from.
        place: The epoch.
    """
    if not is_mixed(loader):
        plan = loader.plan(place, even=True)
        return plan, plan.indices
    plan, rows = loader.plan(view, even=True), _places(loader, view)
    count = len(rows)
    chance = torch.Generator().manual_seed(mix(place.seed, place.stage, place.epoch))
    order = torch.randperm(count, generator=chance).tolist() if loader.shuffle else range(count)
    tokens = [plan.global_tokens[number] for number in order] if plan.global_tokens else []
    sizes = [plan.global_sizes[number] for number in order]
    return BatchPlan([plan.indices[number] for number in order], sizes, tokens), [rows[number] for number in order]


def pieces_of_view(loader: Loader, view: Place, missing: Tensor) -> list[Piece]:
    """This process's batches that have the rows `missing` (rows,) of a view."""
    if not is_mixed(loader):
        own = missing.tensor_split(world_size())[rank()]
        return [(piece, piece) for piece in torch.split(own, loader.batch_size) if len(piece)]
    plan, rows = loader.plan(view, even=True), _places(loader, view)
    wanted = torch.zeros(loader.num_samples, dtype=torch.bool)
    wanted[missing] = True
    pieces = [piece for piece in zip(plan.indices, rows, strict=True) if wanted[piece[1]].any()]
    # What is in no batch is never read; it is there so that the view is whole.
    rest = missing[missing >= sum(plan.global_sizes)].tensor_split(world_size())[rank()]
    order = loader.order(view)
    return pieces + [(order[each], each) for each in torch.split(rest, loader.batch_size) if len(each)]


def _places(loader: Loader, view: Place) -> Sequence[Tensor]:
    """For each batch of the view the places of its samples in the order of the view."""
    return loader.plan(view, even=True, order=torch.arange(loader.num_samples)).indices
