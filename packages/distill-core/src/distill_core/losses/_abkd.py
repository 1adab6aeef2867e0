"""α-β divergence (ABKD): one family that contains the forward and the reverse divergence.

    D(p, q) = −1/(αβ) · sum of [ p^α q^β − α/(α+β) · p^(α+β) − β/(α+β) · q^(α+β) ],   p = softmax(t), q = softmax(s)
    L = mean over tokens of D;   with its limits:
    β = 0:      1/α² · sum of [ p^α log(p^α/q^α) − p^α + q^α ],   at α = 1: KL( p ‖ q )
    α = 0:      1/β² · sum of [ q^β log(q^β/p^β) − q^β + p^β ],   at β = 1: KL( q ‖ p )
    α = β = 0:  ½ · sum of ( log p − log q )²

Computed without cancellation: with u = log(q/p) and φ(c) = (e^(cu) − 1)/c, φ(0) = u, it is the sum of p^(α+β) · [
φ(α+β) − φ(β) ] / α, or the same with the two sides exchanged, whichever divides by the larger number. So the limits are
exact and the loss is continuous. The authors' code (ghwang-s/abkd) has 1/α and 1/β in the first two limits, which is
continuous only if α or β is 1. The mean is that of `token_mean`.

Use: language models of one vocabulary; α and β move between covering all of the teacher's tokens and keeping to the
most probable ones.
Taps: logits of all tokens, `student:out.logits` and `teacher:out.logits`, with `batch.mask`.

Paper: ABKD: Pursuing a Proper Allocation of the Probability Mass in Knowledge Distillation via α-β-Divergence
Authors: Guanghui Wang, Zhiyong Yang, Zitai Wang, Shi Wang, Qianqian Xu, Qingming Huang
Venue: ICML
Year: 2025
Link: https://arxiv.org/abs/2505.04560
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_temperatures,
    excluded,
    filled,
    finite,
    per_token,
    refuse_infinite,
    require_same_vocabulary,
)
from ..ranges import NonNegativeFloat, PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean

SMALL = 1e-3
"""Below this both α and β are small enough for the series about 0."""
CLOSED = 0.05
"""From this on both α and β can be divided by without loss of digits."""


def alpha_beta_divergence(student: Tensor, teacher: Tensor, alpha: float = 0.2, beta: float = 0.7) -> Tensor:
    """Return D(p, q), with p of the teacher and q of the student.

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits of the same shape.
        alpha: α ≥ 0.
        beta: β ≥ 0.

    Returns:
        (…).
    """
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    if alpha < beta:
        alpha, beta, log_p, log_q = beta, alpha, log_q, log_p
    both = alpha + beta
    if alpha < SMALL:
        ratio = filled(log_q - log_p, excluded(log_q, log_p), 0)
        power = torch.exp(both * finite(log_p))
        values = (power * ratio.square() * (0.5 + ratio * (both + beta) / 6)).sum(-1)
    else:
        values = ((_powers(log_p, log_q, both, both) - _powers(log_p, log_q, both, beta)) / alpha).sum(-1)
    return refuse_infinite(refuse_infinite(values, student, teacher), student, teacher, reverse=True)


def _powers(log_p: Tensor, log_q: Tensor, both: float, c: float) -> Tensor:
    """Return p^(α+β) · φ(c), adding exponents in the log domain."""
    power = torch.exp(both * log_p)
    if c == 0:
        return power * (log_q - log_p).masked_fill_(power == 0, 0)
    log_p, log_q = finite(log_p), finite(log_q)
    exponent = c * (log_q - log_p)
    near = power * torch.expm1(exponent.clamp(-1, 1))
    far = torch.exp(c * log_q + (both - c) * log_p) - power
    return torch.where(exponent.abs() < 1, near, far) / c


def _with_gradient(student: Tensor, teacher: Tensor, alpha: float, beta: float) -> tuple[Tensor, Tensor]:
    """Return D of rows, and its gradient h − q · Σ h, h = ( q^(α+β) − p^α q^β ) / α.

    With the larger of p and q factored out, all exponents are negative: no power overflows, and near p = q nothing cancels.
    """
    both = alpha + beta
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    ratio = log_q.sub(log_p).nan_to_num_(0)  # where both are −∞ the larger is 0, too
    larger = torch.maximum(log_p, log_q, out=log_p).mul_(both).exp_()
    under, over = ratio.clamp(max=0), ratio.clamp_(min=0)
    mixed = (beta * under).sub_(over, alpha=alpha).expm1_()  # p^α q^β / larger − 1
    under, over = under.mul_(both).expm1_(), over.mul_(-both).expm1_()
    h = (under - mixed).mul_(larger).div_(alpha)
    values = under.mul_(beta).add_(over, alpha=alpha).div_(both).sub_(mixed).mul_(larger).sum(-1) / (alpha * beta)
    gradient = h.sub_(log_q.exp_().mul_(h.sum(-1, keepdim=True)))
    return refuse_infinite(refuse_infinite(values, student, teacher), student, teacher, reverse=True), gradient


@final
@register
class ABKDLoss(nn.Module):
    """α-β divergence of sequences (Wang et al. 2025).

    Args:
        alpha: α ≥ 0; larger values relative to β are more mode-covering.
        beta: β ≥ 0; larger values relative to α are more mode-seeking.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        temperature: τ > 0, which both logits are divided by; without a factor of τ².

    >>> import torch
    >>> ABKDLoss(1.0, 0.0)(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]]))
    tensor(0.4330)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self,
        alpha: NonNegativeFloat = 0.2,
        beta: NonNegativeFloat = 0.7,
        chunk: PositiveInt | None = None,
        *,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.chunk, self.temperature = chunk, temperature

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_vocabulary(student, teacher)
        alpha, beta, temperature = self.alpha, self.beta, self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return alpha_beta_divergence(ours / temperature, theirs / temperature, alpha, beta)

        closed = None
        if min(alpha, beta) >= CLOSED:
            closed = at_temperatures(partial(_with_gradient, alpha=alpha, beta=beta), temperature)
        values = per_token(function, student, teacher, chunk=self.chunk, mask=mask, with_gradient=closed)
        return token_mean(values, mask)
