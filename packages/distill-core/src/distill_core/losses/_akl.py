"""Adaptive divergence (AKL): forward KL weighted by the error in the teacher's head, reverse KL by that in the tail.

    head = the most probable tokens of the teacher, up to a mass of μ;   g = sum over head or tail of | p − q |
    L = mean over tokens of [ g_head · KL( p ‖ q ) + g_tail · KL( q ‖ p ) ] / ( g_head + g_tail )

The two weights are constants, ½ each where student and teacher agree. `paper`: the head is the smallest set whose mass
reaches μ. `code` (wutaiqiang/LLM_KD_AKL): the token that crosses μ belongs to the tail, unless it is the first. The
loss is piecewise constant in μ. The mean is that of `token_mean`.

Paper: Rethinking Kullback-Leibler Divergence in Knowledge Distillation for Large Language Models
Authors: Taiqiang Wu, Chaofan Tao, Jiahao Wang, Runming Yang, Zhe Zhao, Ngai Wong
Venue: COLING
Year: 2025
Link: https://arxiv.org/abs/2404.02657
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import kl_divergence, one_of, per_token, refuse_infinite, require_same_vocabulary
from ..ranges import Fraction, PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean

Mode = Literal["paper", "code"]


def head_fraction(student: Tensor, teacher: Tensor, mass: float = 0.5, mode: Mode = "paper") -> Tensor:
    """Return g_head / ( g_head + g_tail ), the head's fraction of the student's error, without gradient.

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits of the same shape.
        mass: μ, from 0 to 1.
        mode: Whether the token that crosses μ belongs to head (`paper`) or tail (`code`).

    Returns:
        (…), from 0 to 1.
    """
    p, order = F.softmax(teacher.detach(), dim=-1).sort(dim=-1, descending=True)
    errors = (p - F.softmax(student.detach(), dim=-1).gather(-1, order)).abs()
    upto = p.cumsum(-1)
    head = upto - p < mass if mode == "paper" else (upto <= mass).index_fill(-1, order.new_zeros(1), True)
    of_head, of_all = (errors * head).sum(-1), errors.sum(-1)
    return torch.where(of_all > 0, of_head / of_all, 0.5)


def adaptive_kl(student: Tensor, teacher: Tensor, mass: float = 0.5, mode: Mode = "paper") -> Tensor:
    """Return the two divergences weighted by the location of the student's error.

    Args:
        student: Logits (rows, vocabulary).
        teacher: Logits of the same shape.
        mass: μ, from 0 to 1.
        mode: Whether the token that crosses μ belongs to head (`paper`) or tail (`code`).

    Returns:
        (rows,).
    """
    weight = head_fraction(student, teacher, mass, mode)
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    values = weight * kl_divergence(log_p, log_q) + (1 - weight) * kl_divergence(log_q, log_p)
    return refuse_infinite(refuse_infinite(values, student, teacher), student, teacher, reverse=True)


@final
@register
class AKLLoss(nn.Module):
    """Adaptive divergence of sequences (Wu et al. 2025).

    Args:
        mass: μ, probability mass of the head, from 0 to 1.
        mode: `paper` or `code`, see above.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        temperature: τ > 0, which both logits are divided by; without a factor of τ².

    >>> import torch
    >>> AKLLoss()(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]]))
    tensor(0.4537)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self,
        mass: Fraction = 0.5,
        mode: Mode = "paper",
        chunk: PositiveInt | None = None,
        *,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.mass, self.mode = mass, one_of("mode", mode, Mode)
        self.chunk, self.temperature = chunk, temperature

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_vocabulary(student, teacher)
        mass, mode, temperature = self.mass, self.mode, self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return adaptive_kl(ours / temperature, theirs / temperature, mass, mode)

        return token_mean(per_token(function, student, teacher, chunk=self.chunk, mask=mask), mask)
