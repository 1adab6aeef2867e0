"""Correlation congruence (CCKD): match the kernel matrix of the samples' embeddings.

    C(f)ᵢⱼ = k( e(fᵢ), e(fⱼ) )
    paper:         L = mean over all pairs of samples of ( C(s) − C(t) )²
    torchdistill:  L = ‖C(s) − C(t)‖_F / batch²,   e without the division by its norm
    gaussian:  k(a, b) = e^(−2γ) · sum for p from 0 to P of (2γ)ᵖ/p! · (a·b)ᵖ ≈ exp( −γ ‖a − b‖² )
    bilinear:  k(a, b) = a·b

e is a learned linear map with outputs of norm 1, as the expansion of the Gaussian kernel assumes. Student and teacher
have one each. Both are learned, so use it next to cross-entropy and KD: alone it can collapse to constant embeddings.
Several processes gather their batches.

Use: relations between the samples of a batch, beside KD; features of any length.
Taps: the features before the classifier: `student.fc:in` and `teacher.fc:in`.

Paper: Correlation Congruence for Knowledge Distillation
Authors: Baoyun Peng, Xiao Jin, Jiaheng Liu, Dongsheng Li, Yichao Wu, Yu Liu, Shunfeng Zhou, Zhaoning Zhang
Venue: ICCV
Year: 2019
Link: https://arxiv.org/abs/1904.01802
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import UnitEmbedding, one_of, without_autocast
from ..ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, checked
from ..registry import register

Kernel = Literal["gaussian", "bilinear"]
Mode = Literal["paper", "torchdistill"]


def correlation(embeddings: Tensor, kernel: Kernel = "gaussian", gamma: float = 0.4, order: int = 2) -> Tensor:
    """Return the kernel of all pairs of samples, (batch, batch).

    Args:
        embeddings: (batch, dim), of norm 1.
        kernel: `gaussian` or `bilinear`, see the formulas above.
        gamma: γ of the Gaussian kernel.
        order: P, order of its expansion.
    """
    with without_autocast(embeddings):
        products = embeddings @ embeddings.T
    if kernel == "bilinear":
        return products
    result = products.new_zeros(products.shape)
    for power in range(order, -1, -1):  # Horner's method
        result = result * products + (2 * gamma) ** power / math.factorial(power)
    return math.exp(-2 * gamma) * result


@final
@register
class CCKDLoss(nn.Module):
    """Correlation congruence (Peng et al. 2019), both embeddings inside.

    Args:
        dim: Length of the embeddings.
        kernel: `gaussian` or `bilinear`, see the formulas above.
        gamma: γ of the Gaussian kernel.
        order: P, order of its expansion.
        student_features: Length of the student's flattened feature; inferred on first use if omitted.
        teacher_features: Length of the teacher's flattened feature; inferred on first use if omitted.
        mode: `paper` or `torchdistill`, see the formulas above.

    >>> import torch
    >>> loss = CCKDLoss(dim=4)
    >>> loss(torch.ones(2, 6), torch.ones(2, 5)).shape, loss.student_embedding.linear.weight.shape
    (torch.Size([]), torch.Size([4, 6]))
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self,
        dim: PositiveInt = 128,
        kernel: Kernel = "gaussian",
        gamma: NonNegativeFloat = 0.4,
        order: NonNegativeInt = 2,
        student_features: PositiveInt | None = None,
        teacher_features: PositiveInt | None = None,
        mode: Mode = "paper",
    ) -> None:
        super().__init__()
        self.kernel = one_of("kernel", kernel, Kernel)
        self.gamma, self.order = gamma, order
        self.mode = one_of("mode", mode, Mode)
        is_unit = mode == "paper"
        self.student_embedding = UnitEmbedding(dim, student_features, normalise=is_unit)
        self.teacher_embedding = UnitEmbedding(dim, teacher_features, normalise=is_unit)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of features (batch, …)."""
        embeddings = self.student_embedding(student), self.teacher_embedding(teacher.detach())
        ours, theirs = (correlation(gather_batch(e), self.kernel, self.gamma, self.order) for e in embeddings)
        return congruence_distance(ours, theirs, self.mode)


def congruence_distance(student: Tensor, teacher: Tensor, mode: Mode = "paper") -> Tensor:
    """Return the distance of two kernel matrices.

    Args:
        student: (batch, batch).
        teacher: The same.
        mode: `paper` or `torchdistill`, see the formulas above.
    """
    if mode == "paper":
        return F.mse_loss(student, teacher)
    norm: Tensor = torch.linalg.matrix_norm(student - teacher)
    return norm / student.numel()
