"""Linear CKA: how similar two layers represent the same samples."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Return the linear CKA of features (samples, channels) of Kornblith et al. (2019), from 0 to 1.

    It is 0 if the features of a layer do not vary.

    >>> import torch
    >>> features = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]])
    >>> round(linear_cka(features, 3 * features + 1), 6)
    1.0
    """
    one, two = (features.double() - features.double().mean(0) for features in (first, second))
    scale = (one.T @ one).norm() * (two.T @ two).norm()
    return float((one.T @ two).norm() ** 2 / scale) if scale > 0 else 0.0


def cka_matrix(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[list[float]]:
    """Return the linear CKA of each layer of one model (row) with each of another (column)."""
    return [[linear_cka(one, two) for two in second] for one in first]
