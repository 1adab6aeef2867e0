"""Curriculum temperature (CTKD): learn the temperature adversarially, with increasing strength.

    τ = τ₀ + τ₁ · σ(θ);   the gradient to θ is multiplied by −λ
    L = τ² · mean over samples of KL( softmax(t/τ) ‖ softmax(s/τ) )

θ is one learned number, the paper's "global" temperature. The instance-wise one is not implemented. In the paper λ
grows from 0 to 1 over the first 10 epochs: pass `distill_core.schedules.Cosine(start=0, end=1, until=10)` as
`strength`.

Use: KD whose temperature is not searched for.
Taps: the logits, `student` and `teacher`.

Paper: Curriculum Temperature for Knowledge Distillation
Authors: Zheng Li, Xiang Li, Lingfeng Yang, Borui Zhao, Renjie Song, Lei Luo, Jun Li, Jian Yang
Venue: AAAI
Year: 2023
Link: https://arxiv.org/abs/2211.16231
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    GradientReversal,
    Progress,
    at_least_float32,
    filled,
    kl_divergence,
    refuse_infinite,
    require_class_logits,
    require_same_shape,
    ruled_out,
)
from ..ranges import NonNegativeFloat, PositiveFloat, checked
from ..registry import register


@final
@register
class CTKDLoss(nn.Module):
    """Curriculum temperature distillation (Li et al. 2023), the temperature inside.

    Args:
        least: τ₀ > 0, minimum temperature.
        spread: τ₁ > 0, range of the temperature above τ₀.
        strength: λ, a number or a schedule.

    >>> import torch
    >>> loss = CTKDLoss()
    >>> loss(torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])).detach(), loss.temperature().detach()
    (tensor(0.3314), tensor(15.6212))
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        least: PositiveFloat = 1.0,
        spread: PositiveFloat = 20.0,
        strength: NonNegativeFloat | Callable[[Progress], float] = 1.0,
    ) -> None:
        super().__init__()
        self.least, self.spread = least, spread
        self.theta = nn.Parameter(torch.ones(()))
        self.reversal = GradientReversal(strength)

    def temperature(self) -> Tensor:
        """Return the current τ."""
        return self.least + self.spread * at_least_float32(self.reversal(self.theta)).sigmoid()

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes)."""
        require_class_logits(student)
        require_same_shape(student, teacher)
        temperature = self.temperature()
        log_student, log_teacher = (_softened(logits, temperature) for logits in (student, teacher.detach()))
        values = refuse_infinite(kl_divergence(log_teacher, log_student), student, teacher, dim=1)
        return temperature**2 * values.mean()


def _softened(logits: Tensor, temperature: Tensor) -> Tensor:
    """Return log-probabilities. Logits of −∞ do not contribute to the temperature's gradient."""
    hidden = ruled_out(logits)
    scaled = filled(at_least_float32(logits), hidden, 0) / temperature
    return F.log_softmax(filled(scaled, hidden, -torch.inf), dim=1)
