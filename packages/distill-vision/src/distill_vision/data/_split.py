"""Which images are trained on, held out and labelled: a function of the classes and a seed, of nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_core.data import SeedPath, sample_seeds
from distill_core.errors import DataError


def _rank_in_class(targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Each sample's place in a random order of its class, and the size of its class; both (samples,)."""
    # An order by hashes is the same with every version of torch and numpy; one by a generator need not be.
    shuffled = sample_seeds(SeedPath(seed=seed), torch.arange(len(targets))).argsort(stable=True)
    by_class = shuffled[targets[shuffled].argsort(stable=True)]
    counts = torch.bincount(targets)
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(targets)
    rank[by_class] = torch.arange(len(targets)) - starts[targets[by_class]]
    return rank, counts[targets]


def stratified_order(targets: Tensor, seed: int) -> Tensor:
    """All indices in a random order of which every stretch has the classes in their right shares.

    Args:
        targets: (samples,) int64 class of each sample.
        seed: Another seed, another order.

    Returns:
        (samples,) int64. A stretch of m samples has each class's share of m, give or take two.

    >>> stratified_order(torch.tensor([0, 0, 0, 0, 1, 1]), seed=0)[:3].tolist().count(4) <= 1
    True
    """
    rank, size = _rank_in_class(targets, seed)
    share = (rank + 0.5) / size
    # Ties go by class; the order within a class is random already.
    by_class = targets.argsort(stable=True)
    return by_class[share[by_class].argsort(stable=True)]


def balanced_choice(targets: Tensor, count: int, seed: int, what: str = "count") -> Tensor:
    """The sorted indices of `count` samples, equally many of each class; what does not divide goes to the first classes.

    A choice of fewer samples with the same seed is part of one of more.

    Args:
        targets: (samples,) int64 class of each sample.
        count: How many.
        seed: Another seed, another choice.
        what: How the error calls `count`.

    Returns:
        (count,) int64.

    Raises:
        DataError: `count` is below 1, or a class has too few samples.

    >>> len(balanced_choice(torch.tensor([0, 0, 0, 0, 1, 1]), 4, seed=0))
    4
    """
    if count < 1:
        message = f"{what}={count}: at least 1 image is to be chosen"
        raise DataError(message)
    rank, _ = _rank_in_class(targets, seed)
    counts = torch.bincount(targets)
    wanted = torch.full_like(counts, count // len(counts))
    wanted[: count % len(counts)] += 1
    if (wanted > counts).any():
        scarcest = int((counts - wanted).argmin())
        message = (
            f"{what}={count}: equally many images of {len(counts)} classes cannot be had"
            f"\n  hint: there are {int(counts[scarcest])} of class {scarcest}"
        )
        raise DataError(message)
    return (rank < wanted[targets]).nonzero().flatten()


def hold_out(targets: Tensor, split: str, holdout: int, seed: int) -> Tensor:
    """The sorted indices of the samples that are held out (`val`), or of the others (`train`).

    Args:
        targets: (samples,) int64 class of each sample.
        split: `val` or `train`.
        holdout: How many are held out, of each class its share.
        seed: Which ones.

    Returns:
        (holdout,) or (samples − holdout,) int64.

    Raises:
        DataError: A split would have no samples.

    >>> [len(hold_out(torch.tensor([0, 0, 0, 1, 1, 1]), split, 2, seed=0)) for split in ("train", "val")]
    [4, 2]
    """
    if not 0 < holdout < len(targets):
        message = f"holdout={holdout} of {len(targets)} images leaves a split without images"
        raise DataError(message)
    order = stratified_order(targets, seed)
    return (order[:holdout] if split == "val" else order[holdout:]).sort().values
