"""Factor transfer (FT): match a compressed factor of the teacher's feature.

    stage 1:  L = mean over all elements of ( P(t) − t )², or their sum           P: paraphraser, an autoencoder
    stage 2:  d = T(s)/‖T(s)‖₂ − E(t)/‖E(t)‖₂                                    T: translator, E: encoder of P
              paper:  L = mean over samples of ‖d‖_p        code:  L = mean over all elements of |d|^p

A sample's factor is divided by its norm as one long vector. Both stages hold the same paraphraser object. In stage 2 no
gradient flows to it and it stays in evaluation mode. List what learns: `train: [student, losses.ft.translator]`. The
weight of 500 in the authors' code (Jangho-Kim/Factor-Transfer-pytorch) is meant for `code`.

Use: convolutional networks, with a first stage that trains a paraphraser of the teacher's feature.
Taps: the last feature map of each model: `student.layer4` and `teacher.layer4`.

Paper: Paraphrasing Complex Network: Network Compression via Factor Transfer
Authors: Jangho Kim, SeongUk Park, Nojun Kwak
Venue: NeurIPS
Year: 2018
Link: https://arxiv.org/abs/1802.04977
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    Paraphraser,
    Translator,
    at_least_float32,
    one_of,
    pool_to_smaller,
    reduction_scope_of,
    require_same_shape,
)
from ..ranges import Range, checked
from ..registry import register

Mode = Literal["paper", "code"]
Reduction = Literal["mean", "sum"]


def factor_transfer(student: Tensor, teacher: Tensor, p: float = 1.0, mode: Mode = "paper") -> Tensor:
    """Return the distance between two factors. A zero factor stays zero.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but height and width may differ.
        p: Order of the norm, ≥ 1.
        mode: Norm of a sample's difference (`paper`) or mean of its p-th powers (`code`).
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    difference = F.normalize(student.flatten(1), dim=1) - F.normalize(teacher.flatten(1), dim=1)
    size = torch.linalg.vector_norm(difference, ord=p, dim=1) if mode == "paper" else difference.abs() ** p
    return torch.mean(size)


@final
@register
class FactorAutoencoderLoss(nn.Module):
    """Stage 1 of factor transfer (Kim et al. 2018): the paraphraser learns to reconstruct the teacher's feature.

    Args:
        paraphraser: The autoencoder to train.
        reduction: `mean` or `sum` over all elements. The size of a sum grows with the batch.

    >>> loss = FactorAutoencoderLoss(Paraphraser(4))
    >>> loss(torch.ones(2, 4, 3, 3)).shape
    torch.Size([])
    """

    reduction_scope: str = "sample"
    """`local` with batch normalisation in the paraphraser, `unknown` for a sum (`averages_over: sum`)."""

    def __init__(self, paraphraser: Paraphraser, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.paraphraser = paraphraser
        self.reduction = one_of("reduction", reduction, Reduction)
        scope = reduction_scope_of(paraphraser)
        self.reduction_scope = "unknown" if reduction == "sum" else scope

    def forward(self, teacher: Tensor) -> Tensor:
        """Return the scalar loss of a feature (batch, channels, height, width)."""
        feature = at_least_float32(teacher.detach())
        return F.mse_loss(at_least_float32(self.paraphraser(teacher.detach())), feature, reduction=self.reduction)


@final
@register
class FTLoss(nn.Module):
    """Stage 2 of factor transfer (Kim et al. 2018): the student's translated feature matches the teacher's factor.

    Args:
        paraphraser: The autoencoder trained in stage 1, constant here.
        translator: Maps the student's feature to the factor's channels; learned with the student.
        p: Order of the norm; the paper finds 1 best.
        mode: `paper` or `code`, see the formulas above.

    >>> loss = FTLoss(Paraphraser(8), Translator(6, 4))
    >>> loss(torch.ones(2, 6, 3, 3), torch.ones(2, 8, 3, 3)).shape
    torch.Size([])
    """

    reduction_scope: str = "sample"
    """`local` with batch normalisation in the translator."""

    @checked
    def __init__(
        self,
        paraphraser: Paraphraser,
        translator: Translator,
        p: Annotated[float, Range(min=1)] = 1.0,
        mode: Mode = "paper",
    ) -> None:
        super().__init__()
        self.paraphraser = paraphraser
        self.translator = translator
        self.reduction_scope = reduction_scope_of(translator)
        self.p = p
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features (batch, channels, height, width)."""
        with torch.no_grad():
            factor = self.paraphraser.encode(teacher)
        return factor_transfer(self.translator(student), factor, self.p, self.mode)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the translator only. The paraphraser is constant and keeps its batch statistics."""
        super().train(mode)
        self.paraphraser.eval()
        return self
