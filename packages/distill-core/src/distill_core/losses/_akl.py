"""Adaptive divergence (AKL): forward KL weighted by the error in the teacher's head, reverse KL by that in the tail.

    head = the most probable tokens of the teacher, up to a mass of μ;   g = sum over head or tail of | p − q |
    L = mean over tokens of [ g_head · KL( p ‖ q ) + g_tail · KL( q ‖ p ) ] / ( g_head + g_tail )

The two weights are constants, ½ each where student and teacher agree. `paper`: the head is the smallest set whose mass
reaches μ. `code` (wutaiqiang/LLM_KD_AKL): the token that crosses μ belongs to the tail, unless it is the first. The
loss is piecewise constant in μ. The mean is that of `token_mean`.

Use: language models of one vocabulary, if the student should follow both the teacher's head and its tail.
Taps: logits of all tokens, `student:out.logits` and `teacher:out.logits`, with `batch.mask`.

Paper: Rethinking Kullback-Leibler Divergence in Knowledge Distillation for Large Language Models
Authors: Taiqiang Wu, Chaofan Tao, Jiahao Wang, Runming Yang, Zhe Zhao, Ngai Wong
Venue: COLING
Year: 2025
Link: https://arxiv.org/abs/2404.02657
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_temperatures,
    can_look,
    kl_divergence,
    one_of,
    per_token,
    refuse_infinite,
    require_same_vocabulary,
    weighted,
)
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
    return _fraction(F.softmax(student.detach(), dim=-1), F.softmax(teacher.detach(), dim=-1), mass, mode)


def _fraction(q: Tensor, p: Tensor, mass: float, mode: Mode) -> Tensor:
    errors = (p - q).abs_()
    of_all = errors.sum(-1)
    of_head = errors.mul_(_head(p, mass, mode)).sum(-1)
    return torch.where(of_all > 0, of_head / of_all, 0.5)


def _head(p: Tensor, mass: float, mode: Mode) -> Tensor:
    """Return which tokens are in the head; of equally probable tokens, the first."""
    ordered = _descending(p)
    upto = ordered.cumsum(-1)
    counted = upto <= mass if mode == "code" else upto - ordered < mass
    count = torch.count_nonzero(counted, dim=-1).clamp(min=1 if mode == "code" else 0)[..., None]
    least = ordered.gather(-1, (count - 1).clamp(min=0))
    head = p >= least
    if can_look(p) and bool((torch.count_nonzero(head, dim=-1)[..., None] == count).all()):
        return head
    above, equal = p > least, p == least
    return above.logical_or_(equal & (equal.cumsum(-1) <= count - above.sum(-1, keepdim=True)))


def _descending(p: Tensor) -> Tensor:
    """Return the values of each row in descending order. NumPy sorts values on the CPU twenty times faster than torch."""
    if can_look(p):
        return torch.from_numpy(np.sort(p.numpy(), axis=-1)).flip(-1)
    return p.sort(dim=-1, descending=True).values


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


def _with_gradient(student: Tensor, teacher: Tensor, mass: float, mode: Mode) -> tuple[Tensor, Tensor]:
    """Return the weighted divergences of rows, and their gradient w · ( q − p ) + ( 1 − w ) · q · ( log(q/p) − KL( q ‖ p ) )."""
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    q, p = log_q.exp(), log_p.exp()
    weight = _fraction(q, p, mass, mode)
    ratio = log_q.sub_(log_p)
    _, forward = weighted(p, ratio)
    parts, reverse = weighted(q, ratio)
    values = reverse * (1 - weight) - forward * weight
    of_reverse = parts.sub_(q * reverse[:, None]).mul_(1 - weight[:, None])
    gradient = q.sub_(p).mul_(weight[:, None]).add_(of_reverse)
    return refuse_infinite(refuse_infinite(values, student, teacher), student, teacher, reverse=True), gradient


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

        closed = at_temperatures(partial(_with_gradient, mass=mass, mode=mode), temperature)
        values = per_token(function, student, teacher, chunk=self.chunk, mask=mask, with_gradient=closed)
        return token_mean(values, mask)
