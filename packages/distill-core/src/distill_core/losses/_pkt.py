"""Probabilistic knowledge transfer (PKT): match the neighbour probabilities between samples.

    K(a, b) = ( cos(a, b) + 1 ) / 2,   p(j | i) = K(tᵢ, tⱼ) / sum over k of K(tᵢ, tₖ),   q(j | i) the same of s
    paper:  L = mean over i of the sum over j of p(j | i) log( p(j | i) / q(j | i) ),   j and k other than i
    code:   L = mean over i and j of the same, j = i and k = i included

The authors' code (passalis/probabilistic_kt) counts a sample as its own neighbour; weights of 30000 are meant for
`code`. Both modes add ε to the probabilities inside the logarithm. The paper sums over i; this loss averages. Several
processes gather their batches.

Use: relations between the samples of a batch; features of any length.
Taps: the features before the classifier: `student.fc:in` and `teacher.fc:in`.

Paper: Learning Deep Representations with Probabilistic Knowledge Transfer
Authors: Nikolaos Passalis, Anastasios Tefas
Venue: ECCV
Year: 2018
Link: https://arxiv.org/abs/1803.10837
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import at_least_float32, one_of, unit_length, without_autocast
from ..ranges import PositiveFloat, checked
from ..registry import register

Mode = Literal["paper", "code"]


def probabilistic_transfer(student: Tensor, teacher: Tensor, eps: float = 1e-7, mode: Mode = "paper") -> Tensor:
    """Return the divergence of the neighbours of the samples of a batch.

    Args:
        student: Features (batch, …).
        teacher: Features (batch, …), possibly of another length.
        eps: ε > 0, added to the probabilities inside the logarithm.
        mode: Exclude (`paper`) or include (`code`) a sample as its own neighbour.
    """
    p, q = (_neighbours(at_least_float32(x.flatten(1)), eps, mode) for x in (teacher.detach(), student))
    divergence = p * ((p + eps) / (q + eps)).log()
    return divergence.mean() if mode == "code" else divergence.sum() / len(divergence)


@final
@register
class PKTLoss(nn.Module):
    """Probabilistic knowledge transfer (Passalis & Tefas 2018).

    Args:
        eps: ε > 0, added to the probabilities inside the logarithm.
        mode: `paper` or `code`, see the formulas above.

    >>> import torch
    >>> student = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> PKTLoss()(student, teacher)
    tensor(0.1155)
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(self, eps: PositiveFloat = 1e-7, mode: Mode = "paper") -> None:
        super().__init__()
        self.eps = eps
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of features (batch, …)."""
        student, teacher = gather_batch(student), gather_batch(teacher.detach())
        return probabilistic_transfer(student, teacher, self.eps, self.mode)


def _neighbours(features: Tensor, eps: float, mode: Mode) -> Tensor:
    """Return the neighbour probabilities of each sample as rows, (batch, batch)."""
    unit = unit_length(features, dim=1)
    with without_autocast(unit):
        kernel = ((unit @ unit.T + 1) / 2).clamp(min=0)
    if mode == "paper":
        kernel = kernel * (1 - torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device))
    return kernel / kernel.sum(1, keepdim=True).clamp(min=eps)
