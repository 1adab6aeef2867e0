"""Selection of training, validation and labelled images, determined by the classes and a seed alone."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_core.data import SeedPath, sample_seeds
from distill_core.errors import DataError


def _rank_in_class(targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return each sample's rank in a random order of its class, and the size of its class; both (samples,)."""
    # An order by hashes is the same in every version of torch and NumPy; the order of a generator may change.
    shuffled = sample_seeds(SeedPath(seed=seed), torch.arange(len(targets))).argsort(stable=True)
    by_class = shuffled[targets[shuffled].argsort(stable=True)]
    counts = torch.bincount(targets)
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(targets)
    rank[by_class] = torch.arange(len(targets)) - starts[targets[by_class]]
    return rank, counts[targets]


def stratified_order(targets: Tensor, seed: int) -> Tensor:
    """Return all indices in a random order in which every contiguous part has the class frequencies of the dataset.

    Args:
        targets: (samples,) int64 class of each sample.
        seed: Seed of the order.

    Returns:
        (samples,) int64. In m contiguous indices the count of a class differs from its expected count by at most two.

    >>> stratified_order(torch.tensor([0, 0, 0, 0, 1, 1]), seed=0)[:3].tolist().count(4) <= 1
    True
    """
    rank, size = _rank_in_class(targets, seed)
    quantile = (rank + 0.5) / size
    # Ties are ordered by class; the order within a class is already random.
    by_class = targets.argsort(stable=True)
    return by_class[quantile[by_class].argsort(stable=True)]


def balanced_choice(targets: Tensor, count: int, seed: int, what: str = "count") -> Tensor:
    """Return the sorted indices of `count` samples, balanced over the classes; the first classes get the remainder.

    With the same seed, a smaller selection is a subset of a larger one.

    Args:
        targets: (samples,) int64 class of each sample.
        count: Number of samples.
        seed: Seed of the selection.
        what: Name of `count` in messages.

    Returns:
        (count,) int64.

    Raises:
        DataError: `count` is below 1, or a class has too few samples.

    >>> len(balanced_choice(torch.tensor([0, 0, 0, 0, 1, 1]), 4, seed=0))
    4
    """
    if count < 1:
        message = f"`{what}` must be >= 1, got {count}"
        raise DataError(message)
    rank, _ = _rank_in_class(targets, seed)
    counts = torch.bincount(targets)
    wanted = torch.full_like(counts, count // len(counts))
    wanted[: count % len(counts)] += 1
    if (wanted > counts).any():
        scarcest = int((counts - wanted).argmin())
        message = (
            f"`{what}` {count} needs {int(wanted[scarcest])} images of class {scarcest}, got {int(counts[scarcest])}"
        )
        raise DataError(message, hint=f"reduce `{what}`: each of {len(counts)} classes contributes equally")
    return (rank < wanted[targets]).nonzero().flatten()


def hold_out(targets: Tensor, split: str, holdout: int, seed: int) -> Tensor:
    """Return the sorted indices of the held-out samples (`val`) or of the others (`train`).

    Args:
        targets: (samples,) int64 class of each sample.
        split: `val` or `train`.
        holdout: Number of held-out samples, stratified by class.
        seed: Seed of the selection.

    Returns:
        (holdout,) or (samples − holdout,) int64.

    Raises:
        DataError: A split would be empty.

    >>> [len(hold_out(torch.tensor([0, 0, 0, 1, 1, 1]), split, 2, seed=0)) for split in ("train", "val")]
    [4, 2]
    """
    if not 0 < holdout < len(targets):
        message = f"`holdout` must be > 0 and less than the number of images, {len(targets)}, got {holdout}"
        raise DataError(message)
    order = stratified_order(targets, seed)
    return (order[:holdout] if split == "val" else order[holdout:]).sort().values
