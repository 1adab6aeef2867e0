"""Skewed divergences (DistiLLM): mix one side with a little of the other, so that ratios stay bounded.

    p = softmax(t), q = softmax(s)
    skewed:          L = mean over tokens of KL( p ‖ λ · p + (1 − λ) · q )
    skewed reverse:  L = mean over tokens of KL( q ‖ λ · q + (1 − λ) · p )

λ = 0 gives the plain divergences, and at λ = 1 both are 0. The mean is that of `token_mean`. The adaptive use of the
student's own sequences, which the paper adds, is a matter of the data.

Paper: DistiLLM: Towards Streamlined Distillation for Large Language Models
Authors: Jongwoo Ko, Sungnyun Kim, Tianyi Chen, Se-Young Yun
Venue: ICML
Year: 2024
Link: https://arxiv.org/abs/2402.03898
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import kl_divergence, log_mixture, per_token, refuse_infinite, require_same_shape
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


@final
@register
class SkewedKLLoss(nn.Module):
    """Skewed divergence of sequences (Ko et al. 2024).

    Args:
        skew: λ, from 0 to 1.
        chunk: Number of tokens per chunk.
        temperature: τ > 0, which both logits are divided by; without a factor of τ².

    >>> import torch
    >>> SkewedKLLoss()(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]]))
    tensor(0.3476)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(self, skew: Fraction = 0.1, chunk: PositiveInt = 256, *, temperature: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.skew, self.chunk, self.temperature = skew, chunk, temperature

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_shape(student, teacher)
        skew, temperature = self.skew, self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return skewed_kl(ours / temperature, theirs / temperature, skew)

        return token_mean(per_token(function, student, teacher, chunk=self.chunk, mask=mask), mask)


@final
@register
class SkewedReverseKLLoss(nn.Module):
    """Skewed reverse divergence of sequences (Ko et al. 2024).

    Args:
        skew: λ, from 0 to 1.
        chunk: Number of tokens per chunk.
        temperature: τ > 0, which both logits are divided by; without a factor of τ².

    >>> import torch
    >>> SkewedReverseKLLoss()(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]]))
    tensor(0.3653)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(self, skew: Fraction = 0.1, chunk: PositiveInt = 256, *, temperature: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.skew, self.chunk, self.temperature = skew, chunk, temperature

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_shape(student, teacher)
        skew, temperature = self.skew, self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return skewed_reverse_kl(ours / temperature, theirs / temperature, skew)

        return token_mean(per_token(function, student, teacher, chunk=self.chunk, mask=mask), mask)
