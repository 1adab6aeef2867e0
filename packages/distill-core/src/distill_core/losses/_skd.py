"""Streamlined knowledge distillation (SKD): match probabilities per sample and directions between samples.

    instance, paper:  L = mean over samples of KL( softmax(t/τ) ‖ softmax(s/τ) )
    instance, code:   L = τ² · mean over samples of KL · fraction of samples whose max softmax(t) is at most its median

    G(z) = ẑ ẑᵀ,   ẑ: logits of each sample over their L2 norm;   D = G(s) − G(t);   Σ = cov(D) + λ I
    direction, paper:  L = mean over samples i of √( dᵢᵀ Σ⁻¹ dᵢ ),   dᵢ: a row of D
    direction, code:   the same with G(z)/K in place of G(z), times the fraction of classes whose probabilities of the
                       teacher, summed over the batch, are at most their median over the K classes

cov is the covariance of the columns of D over its rows, computed from the batch with gradients. The two terms are two
losses. The authors' code (HyunJunSik/StreamLined) gives both a weight of 0.9 and the cross-entropy of the labels 0.1;
earlier versions used ½ each. The code multiplies a mean over samples by a mask over samples, and a mean over rows by a
mask over classes, so only the masked fractions have an effect. Several processes gather their batches. Only the first
author is known here.

Use: image classifiers.
Taps: the logits, `student` and `teacher`.

Paper: Streamlined Knowledge Distillation
Authors: Jeong et al.
Venue: CVPR
Year: 2026
Link: https://github.com/HyunJunSik/StreamLined
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import (
    at_least_float32,
    excluded,
    filled,
    one_of,
    refuse_infinite,
    require_class_logits,
    require_same_shape,
    unit_length,
    without_autocast,
)
from ..ranges import PositiveFloat, checked
from ..registry import register
from ._kd import kd_divergence
from ._mlkd import fraction_below_median, hidden_classes

Mode = Literal["paper", "code"]


def direction_distance(student: Tensor, teacher: Tensor, tikhonov: float = 0.1, mode: Mode = "paper") -> Tensor:
    """Return the mean Mahalanobis length of the rows of D.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        tikhonov: λ > 0.
        mode: `paper` or `code`, see the formulas above.
    """
    require_same_shape(student, teacher)
    student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
    hidden, hidden_class = excluded(student, teacher), hidden_classes(student, teacher)
    ours, theirs = (unit_length(filled(logits, hidden, 0), dim=1) for logits in (student, teacher))
    with without_autocast(ours):
        difference = ours @ ours.T - theirs @ theirs.T
        if mode == "code":
            difference = difference / (student.shape[1] if hidden_class is None else (~hidden_class).sum())
        centred = difference - difference.mean(0)
        covariance = centred.T @ centred / max(len(difference) - 1, 1)
        identity = torch.eye(len(difference), dtype=ours.dtype, device=ours.device)
        # λ makes it positive definite, so no check is needed, which would synchronise with the host.
        root = torch.linalg.cholesky_ex(covariance + tikhonov * identity).L
        whitened = torch.linalg.solve_triangular(root, difference.T, upper=False)
    distance: Tensor = torch.linalg.vector_norm(whitened, dim=0).mean()
    for reverse in (False, True):
        refuse_infinite(distance, student, teacher, dim=1, reverse=reverse)
    if mode == "paper":
        return distance
    return fraction_below_median(F.softmax(teacher, dim=1).sum(0), hidden_class) * distance


@final
@register
class SKDInstanceLoss(nn.Module):
    """The instance term of streamlined knowledge distillation (Jeong et al. 2026).

    Args:
        temperature: τ > 0.
        mode: `paper` or `code`, see the formulas above.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> SKDInstanceLoss()(student, teacher), SKDInstanceLoss(mode="code")(student, teacher)
    (tensor(0.0191), tensor(0.3057))
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(self, temperature: PositiveFloat = 4.0, mode: Mode = "paper") -> None:
        super().__init__()
        self.temperature = temperature
        self.mode = one_of("mode", mode, Mode)
        self.decomposes = mode == "paper"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes)."""
        require_class_logits(student)
        divergence = gather_batch(kd_divergence(student, teacher, self.temperature))
        if self.mode == "paper":
            return divergence.mean() / self.temperature**2
        confidence = gather_batch(F.softmax(at_least_float32(teacher.detach()), dim=1).amax(1))
        return divergence.mean() * fraction_below_median(confidence)


@final
@register
class SKDDirectionLoss(nn.Module):
    """The direction term of streamlined knowledge distillation (Jeong et al. 2026).

    Args:
        tikhonov: λ > 0, added to the variances.
        mode: `paper` or `code`, see the formulas above.

    >>> import torch
    >>> SKDDirectionLoss()(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor(2.3355)
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(self, tikhonov: PositiveFloat = 0.1, mode: Mode = "paper") -> None:
        super().__init__()
        self.tikhonov = tikhonov
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes)."""
        require_class_logits(student)
        return direction_distance(gather_batch(student), gather_batch(teacher.detach()), self.tikhonov, self.mode)
