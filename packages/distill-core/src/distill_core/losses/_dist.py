"""Distillation from a stronger teacher (DIST): match probabilities up to scale and shift, per sample and per class.

    ρ: Pearson's correlation,   p(z) = softmax(z/τ)
    L = β · τ² · ( 1 − mean over samples of ρ of their rows of p(s) and p(t) )
      + γ · τ² · ( 1 − mean over classes of ρ of their columns of p(s) and p(t) )

A correlation is a weaker requirement than equality, so a student can follow a much stronger teacher. Where a row or
column is constant, ρ is 0 without gradient: a difference from the authors' code (hunto/DIST_KD), which adds an ε to the
denominator instead. The columns compare the samples of a batch, so several processes gather theirs. The paper adds the
cross-entropy of the labels as a separate term.

Use: classifiers, above all with a teacher that is much stronger than its student.
Taps: the logits, `student` and `teacher`.

Paper: Knowledge Distillation from A Stronger Teacher
Authors: Tao Huang, Shan You, Fei Wang, Chen Qian, Chang Xu
Venue: NeurIPS
Year: 2022
Link: https://arxiv.org/abs/2205.10536
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import at_least_float32, excluded, refuse_infinite, require_same_shape
from ..ranges import NonNegativeFloat, PositiveFloat, checked
from ..registry import register


def pearson(first: Tensor, second: Tensor, dim: int, eps: float = 1e-7, *, hidden: Tensor | None = None) -> Tensor:
    """Return Pearson's correlation along `dim`, which is removed.

    Args:
        first: Any shape, in at least float32.
        second: The same shape.
        dim: Dimension to correlate over.
        eps: If the L2 norm after centring is at most `eps`, the correlation is 0 without gradient.
        hidden: Mask of entries that do not count. Both values are 0 there.
    """
    return (_direction(first, dim, eps, hidden) * _direction(second, dim, eps, hidden)).sum(dim)


def correlation_losses(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return τ² · (1 − mean correlation) of the rows (inter-class) and of the columns (intra-class).

    Args:
        student: Logits (batch, classes, …); further dimensions count as samples.
        teacher: Logits of the same shape.
        temperature: τ > 0.
    """
    require_same_shape(student, teacher)
    ours, theirs = (at_least_float32(x).movedim(1, -1).flatten(0, -2) for x in (student, teacher.detach()))
    hidden = excluded(ours, theirs)
    p, q = (F.softmax(rows / temperature, dim=1) for rows in (ours, theirs))
    refuse_infinite(p[:, 0] + q[:, 0], ours, theirs)
    inter = 1 - pearson(p, q, 1, hidden=hidden).mean()
    # A class that is hidden in all samples has correlation 0 and is not counted.
    num_classes = p.shape[1] if hidden is None else (~hidden).any(0).sum()
    intra = 1 - pearson(p, q, 0, hidden=hidden).sum() / num_classes
    return temperature**2 * inter, temperature**2 * intra


@final
@register
class DISTLoss(nn.Module):
    """Distillation from a stronger teacher (Huang et al. 2022).

    Args:
        beta: β, weight of the rows.
        gamma: γ, weight of the columns.
        temperature: τ > 0; the paper uses 1 on ImageNet and 4 on CIFAR-100, there with β = γ = 2.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), torch.tensor([[2.0, 0.0, -2.0], [0.0, 1.0, 3.0]])
    >>> DISTLoss()(student, teacher)
    tensor(1.3865)
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self, beta: NonNegativeFloat = 1.0, gamma: NonNegativeFloat = 1.0, temperature: PositiveFloat = 1.0
    ) -> None:
        super().__init__()
        self.beta, self.gamma = beta, gamma
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes, …)."""
        logits = gather_batch(student), gather_batch(teacher.detach())
        inter, intra = correlation_losses(*logits, self.temperature)
        return self.beta * inter + self.gamma * intra


def _direction(values: Tensor, dim: int, eps: float, hidden: Tensor | None) -> Tensor:
    if hidden is None:
        centred = values - values.mean(dim, keepdim=True)
    else:
        count = (~hidden).sum(dim, keepdim=True).clamp(min=1)
        centred = (values - values.sum(dim, keepdim=True) / count).masked_fill(hidden, 0)
    length = torch.linalg.vector_norm(centred, dim=dim, keepdim=True)
    return torch.where(length > eps, centred / length.clamp(min=eps), 0)
