"""Generalised head network distillation (GHND): train a small head with a bottleneck on the outputs of later layers.

    L = sum over pairs of layers of mean over samples of ‖s − t‖²

The layers after the head are the teacher's, frozen but with gradients passing through. The first pair alone is HND. The
authors' code sums over the batch as well, a factor for the weight of the term.

Use: a student that is its teacher with a new head (the first layers), split between two machines.
Taps: lists of the layers after the head: `[student.layer1, student.layer2]` and the same of the teacher.

Paper: Neural Compression and Filtering for Edge-assisted Real-time Object Detection in Challenged Networks
Authors: Yoshitomo Matsubara, Marco Levorato
Venue: ICPR
Year: 2020
Link: https://arxiv.org/abs/2007.15818
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..layers import pairs
from ..registry import register
from ._hnd import squared_error


@final
@register
class GHNDLoss(nn.Module):
    """Generalised head network distillation (Matsubara & Levorato 2020).

    >>> import torch
    >>> GHNDLoss()([torch.ones(2, 3), torch.ones(2, 4)], [torch.zeros(2, 3), torch.zeros(2, 4)])
    tensor(7.)
    """

    reduction_scope: ClassVar[str] = "sample"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of lists of features, the same shape (batch, …) within a pair."""
        return torch.stack([squared_error(s, t) for s, t in pairs(student, teacher)]).sum()
