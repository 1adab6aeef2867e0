"""Information-theoretic representation distillation (ITRD): correlate features, and match similarities in the batch.

    z = ( f − mean ) / √( variance + ε ) of each feature over the batch,   v = mean over samples of z(s) z(t), a vector
    C = log₂( sum over features of |v − 1|^2α + δ )
    G(f) = cosines between samples, divided by the trace;   H = G(s)·G(t) elementwise, divided by the trace
    M = log₂( ‖G(s)‖² + δ ) − log₂( ‖H‖² + δ )   (paper)   or   ‖G(s)‖² − ‖H‖²   (code)
    L = λ_c · C + λ_m · M

s is the student's feature mapped linearly to the length of the teacher's, learned with it. The norms are Frobenius'.
The authors' code (roymiles/ITRD) divides by the unbiased standard deviation, so that equal features are not quite at v
= 1 and C is not −∞. Here δ = 1e-12 is added instead. The authors omit the mapping in M if the lengths are equal; here
both terms use it. Several processes gather their batches.

Use: classifiers; features of any length.
Taps: the features before the classifier: `student.fc:in` and `teacher.fc:in`.

Paper: Information Theoretic Representation Distillation
Authors: Roy Miles, Adrián López Rodríguez, Krystian Mikolajczyk
Venue: BMVC
Year: 2022
Link: https://arxiv.org/abs/2112.00459
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import Regressor, at_least_float32, one_of, require_same_shape, without_autocast
from ..ranges import NonNegativeFloat, PositiveInt, Range, checked
from ..registry import register

EPS, LEAST = 1e-5, 1e-12
"""ε, added to a variance, and δ, added to what a logarithm is taken of."""

Mode = Literal["paper", "code"]


def correlation_term(student: Tensor, teacher: Tensor, alpha: float = 1.5) -> Tensor:
    """Return the correlation term C.

    Args:
        student: (batch, features).
        teacher: The same shape.
        alpha: α.
    """
    require_same_shape(student, teacher)
    correlations = (_standardised(student) * _standardised(teacher.detach())).mean(0)
    return torch.log2((correlations - 1).abs().pow(2 * alpha).sum() + LEAST)


def mutual_information_term(student: Tensor, teacher: Tensor, mode: Mode = "paper") -> Tensor:
    """Return the mutual information term M.

    Args:
        student: (batch, features).
        teacher: (batch, features), possibly of another length.
        mode: Difference of logarithms (`paper`) or of squared norms (`code`).
    """
    student, teacher = _cosines(student), _cosines(teacher.detach())
    norms = [_at_trace_one(gram).square().sum() for gram in (student, student * teacher)]
    if mode == "code":
        return norms[0] - norms[1]
    return torch.log2(norms[0] + LEAST) - torch.log2(norms[1] + LEAST)


@final
@register
class ITRDLoss(nn.Module):
    """Information-theoretic representation distillation (Miles et al. 2022), the linear map inside.

    Args:
        correlation_weight: λ_c.
        mutual_weight: λ_m.
        alpha: α, at least 0.5; the paper uses 1.5 for most pairs and 1.01 for others.
        mode: `paper` or `code`, see the formulas above.
        student_features: Length of the student's flattened feature; inferred on first use if omitted.
        teacher_features: Length of the teacher's flattened feature; inferred on first use if omitted.

    >>> loss = ITRDLoss()
    >>> loss(torch.eye(4)[:, :3], torch.eye(4)).shape, loss.regressor.weight.shape
    (torch.Size([]), torch.Size([4, 3]))
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self,
        correlation_weight: NonNegativeFloat = 2.0,
        mutual_weight: NonNegativeFloat = 1.0,
        alpha: Annotated[float, Range(min=0.5)] = 1.5,
        mode: Mode = "paper",
        student_features: PositiveInt | None = None,
        teacher_features: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.correlation_weight = correlation_weight
        self.mutual_weight = mutual_weight
        self.alpha, self.mode = alpha, one_of("mode", mode, Mode)
        self.regressor = Regressor(student_features, teacher_features)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of features (batch, …)."""
        teacher = gather_batch(teacher.detach().flatten(1))
        student = self.regressor(gather_batch(student.flatten(1)), like=teacher)
        correlation = correlation_term(student, teacher, self.alpha)
        mutual = mutual_information_term(student, teacher, self.mode)
        return self.correlation_weight * correlation + self.mutual_weight * mutual


def _standardised(features: Tensor) -> Tensor:
    features = at_least_float32(features)
    variance, mean = torch.var_mean(features, dim=0, correction=0)
    return (features - mean) * (variance + EPS).rsqrt()


def _cosines(features: Tensor) -> Tensor:
    """Return cosines between samples, (batch, batch)."""
    features = F.normalize(at_least_float32(features), dim=1)
    with without_autocast(features):
        return features @ features.T


def _at_trace_one(gram: Tensor) -> Tensor:
    return gram / torch.trace(gram).clamp(min=LEAST)
