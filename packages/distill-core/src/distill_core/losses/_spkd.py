"""Similarity-preserving distillation (SPKD): match the similarities between the samples of a batch.

    L = mean over all pairs of samples of ( G(s) − G(t) )²                       f: (batch, everything else)
    paper:         G(f) = f fᵀ, rows divided by their L2 norm
    torchdistill:  G(f) = f fᵀ, rows divided by their L1 norm

Several processes gather their batches.

Use: relations between the samples of a batch; features of any length, and nothing is learned.
Taps: the last feature map, or the features before the classifier, of each model.

Paper: Similarity-Preserving Knowledge Distillation
Authors: Frederick Tung, Greg Mori
Venue: ICCV
Year: 2019
Link: https://arxiv.org/abs/1907.09682
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import at_least_float32, one_of, unit_length, without_autocast
from ..registry import register

Mode = Literal["paper", "torchdistill"]


def similarity_preserving(student: Tensor, teacher: Tensor, mode: Mode = "paper") -> Tensor:
    """Return the mean squared difference of the similarities within a batch.

    Args:
        student: Features (batch, …).
        teacher: Features (batch, …), possibly of another length.
        mode: `paper` or `torchdistill`, see the formulas above.
    """
    return F.mse_loss(_similarities(student, mode), _similarities(teacher.detach(), mode))


@final
@register
class SPKDLoss(nn.Module):
    """Similarity-preserving distillation (Tung & Mori 2019).

    Args:
        mode: `paper` or `torchdistill`, see the formulas above.

    >>> import torch
    >>> SPKDLoss()(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0], [1.0]]))
    tensor(0.2929)
    """

    reduction_scope: ClassVar[str] = "gathered"

    def __init__(self, mode: Mode = "paper") -> None:
        super().__init__()
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of features (batch, …)."""
        return similarity_preserving(gather_batch(student), gather_batch(teacher.detach()), self.mode)


def _similarities(features: Tensor, mode: Mode) -> Tensor:
    """Return similarities (batch, batch), rows of norm 1."""
    flat = at_least_float32(features.flatten(1))
    with without_autocast(flat):
        products = flat @ flat.T
    return unit_length(products, dim=1) if mode == "paper" else F.normalize(products, p=1, dim=1)
