"""Skewed divergences (DistiLLM): mix one side with a little of the other, so that ratios stay bounded.

    p = softmax(t), q = softmax(s)
    skewed:          L = mean over tokens of KL( p ‖ λ · p + (1 − λ) · q )
    skewed reverse:  L = mean over tokens of KL( q ‖ λ · q + (1 − λ) · p )

λ = 0 gives the plain divergences, and at λ = 1 both are 0. The mean is that of `token_mean`. The adaptive use of the
student's own sequences, which the paper adds, is a matter of the data.

Use: language models of one vocabulary; stable where the plain divergences have large gradients.
Taps: logits of all tokens, `student:out.logits` and `teacher:out.logits`, with `batch.mask`.

Paper: DistiLLM: Towards Streamlined Distillation for Large Language Models
Authors: Jongwoo Ko, Sungnyun Kim, Tianyi Chen, Se-Young Yun
Venue: ICML
Year: 2024
Link: https://arxiv.org/abs/2402.03898
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_temperatures,
    divergence_with_gradient,
    kl_divergence,
    log_mixture,
    per_token,
    refuse_infinite,
    require_same_vocabulary,
    weighted,
)
from ..ranges import Fraction, PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean


def skewed_kl(student: Tensor, teacher: Tensor, skew: float = 0.1) -> Tensor:
    """Return KL( p ‖ λp + (1 − λ)q ) with p of the teacher and q of the student.

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits of the same shape.
        skew: λ, from 0 to 1.

    Returns:
        (…).
    """
    return refuse_infinite(_skewed(teacher, student, skew), student, teacher)


def skewed_reverse_kl(student: Tensor, teacher: Tensor, skew: float = 0.1) -> Tensor:
    """Return KL( q ‖ λq + (1 − λ)p ) with p of the teacher and q of the student.

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits of the same shape.
        skew: λ, from 0 to 1.

    Returns:
        (…).
    """
    return refuse_infinite(_skewed(student, teacher, skew), student, teacher, reverse=True)


def _skewed(first: Tensor, second: Tensor, skew: float) -> Tensor:
    log_p, log_q = F.log_softmax(first, dim=-1), F.log_softmax(second, dim=-1)
    if skew == 0:
        return kl_divergence(log_p, log_q)
    if skew == 1:  # 0, with a gradient of 0 to both
        return kl_divergence(log_p, log_p) + kl_divergence(log_q, log_q)
    return kl_divergence(log_p, log_mixture(log_p, log_q, skew))


def _with_gradient(student: Tensor, teacher: Tensor, skew: float) -> tuple[Tensor, Tensor]:
    """Return KL( p ‖ m ) of rows, and its gradient −(1 − λ) · ( r − q · Σ r ), r = q · p/m."""
    if skew == 0:
        return divergence_with_gradient(student, teacher)
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    ratio = log_p.sub(log_mixture(log_p, log_q, skew))  # log(p/m)
    q = log_q.exp_()
    _, values = weighted(log_p.exp_(), ratio)
    gradient = _centred(ratio.exp_().mul_(q), q).mul_(skew - 1)
    return refuse_infinite(values, student, teacher), gradient


def _reverse_with_gradient(student: Tensor, teacher: Tensor, skew: float) -> tuple[Tensor, Tensor]:
    """Return KL( q ‖ m ) of rows, and its gradient q · ( log(q/m) − KL ) − λ · ( r − q · Σ r ), r = q · q/m."""
    if skew == 0:
        return divergence_with_gradient(student, teacher, reverse=True)
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    ratio = log_q.sub(log_mixture(log_q, log_p, skew))  # log(q/m)
    q = log_q.exp_()
    parts, values = weighted(q, ratio)
    of_mixture = _centred(ratio.exp_().mul_(q), q).mul_(skew)
    gradient = parts.sub_(q.mul_(values[:, None])).sub_(of_mixture)
    return refuse_infinite(values, student, teacher, reverse=True), gradient


def _centred(parts: Tensor, q: Tensor) -> Tensor:
    """Subtract q times the sum of the parts, in place: the derivative of the softmax."""
    return parts.sub_(q * parts.sum(-1, keepdim=True))


@final
@register
class SkewedKLLoss(nn.Module):
    """Skewed divergence of sequences (Ko et al. 2024).

    Args:
        skew: λ, from 0 to 1.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        temperature: τ > 0, which both logits are divided by; without a factor of τ².

    >>> import torch
    >>> SkewedKLLoss()(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]]))
    tensor(0.3476)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self, skew: Fraction = 0.1, chunk: PositiveInt | None = None, *, temperature: PositiveFloat = 1.0
    ) -> None:
        super().__init__()
        self.skew, self.chunk, self.temperature = skew, chunk, temperature

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_vocabulary(student, teacher)
        skew, temperature = self.skew, self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return skewed_kl(ours / temperature, theirs / temperature, skew)

        closed = at_temperatures(partial(_with_gradient, skew=skew), temperature) if skew < 1 else None
        values = per_token(function, student, teacher, chunk=self.chunk, mask=mask, with_gradient=closed)
        return token_mean(values, mask)


@final
@register
class SkewedReverseKLLoss(nn.Module):
    """Skewed reverse divergence of sequences (Ko et al. 2024).

    Args:
        skew: λ, from 0 to 1.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        temperature: τ > 0, which both logits are divided by; without a factor of τ².

    >>> import torch
    >>> SkewedReverseKLLoss()(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]]))
    tensor(0.3653)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self, skew: Fraction = 0.1, chunk: PositiveInt | None = None, *, temperature: PositiveFloat = 1.0
    ) -> None:
        super().__init__()
        self.skew, self.chunk, self.temperature = skew, chunk, temperature

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_vocabulary(student, teacher)
        skew, temperature = self.skew, self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return skewed_reverse_kl(ours / temperature, theirs / temperature, skew)

        closed = at_temperatures(partial(_reverse_with_gradient, skew=skew), temperature) if skew < 1 else None
        values = per_token(function, student, teacher, chunk=self.chunk, mask=mask, with_gradient=closed)
        return token_mean(values, mask)
