"""Generalised Jensen-Shannon divergence (GKD): interpolate between mode-covering and mode-seeking.

    m = β · p + (1 − β) · q,   p = softmax(t), q = softmax(s)
    JSD = β · KL( p ‖ m ) + (1 − β) · KL( q ‖ m )
    paper:   L = mean over tokens of JSD for 0 < β < 1, of KL( p ‖ q ) for β = 0, of KL( q ‖ p ) for β = 1
    scaled:  L = mean over tokens of JSD / ( β · (1 − β) ), which tends to just these two

The formula itself tends to 0 at both ends. The paper and its implementations use the two divergences there, so the loss
jumps. `scaled` has the same gradient directions and no jump. The mean is that of `token_mean`.

Use: language models of one vocabulary, on the data or on answers of the student.
Taps: logits of all tokens, `student:out.logits` and `teacher:out.logits`, with `batch.mask`.

Paper: On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes
Authors: Rishabh Agarwal, Nino Vieillard, Yongchao Zhou, Piotr Stanczyk, Sabela Ramos, Matthieu Geist, Olivier Bachem
Venue: ICLR
Year: 2024
Link: https://arxiv.org/abs/2306.13649
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_temperatures,
    divergence_with_gradient,
    kl_divergence,
    log_mixture,
    one_of,
    per_token,
    refuse_infinite,
    require_same_vocabulary,
    softmax_divergence,
    weighted,
)
from ..ranges import Fraction, PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean

Mode = Literal["paper", "scaled"]


def generalised_jsd(student: Tensor, teacher: Tensor, beta: float = 0.5, mode: Mode = "paper") -> Tensor:
    """Return the divergence (formulas above).

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits of the same shape.
        beta: From 0 (forward) to 1 (reverse).
        mode: `paper` or `scaled`.

    Returns:
        (…).
    """
    if beta in (0, 1):
        return softmax_divergence(student, teacher, reverse=beta == 1)
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    log_m = log_mixture(log_p, log_q, beta)
    divergence = beta * kl_divergence(log_p, log_m) + (1 - beta) * kl_divergence(log_q, log_m)
    divergence = refuse_infinite(divergence, student, teacher)
    return divergence if mode == "paper" else divergence / (beta * (1 - beta))


def _with_gradient(student: Tensor, teacher: Tensor, beta: float, mode: Mode) -> tuple[Tensor, Tensor]:
    """Return the divergence of rows, and its gradient (1 − β) · q · ( log(q/m) − KL( q ‖ m ) )."""
    if beta in (0, 1):
        return divergence_with_gradient(student, teacher, reverse=beta == 1)
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    log_m = log_mixture(log_p, log_q, beta)
    p, q = log_p.exp(), log_q.exp()
    _, of_teacher = weighted(p, log_p.sub_(log_m))
    parts, of_student = weighted(q, log_q.sub_(log_m))
    values = refuse_infinite(beta * of_teacher + (1 - beta) * of_student, student, teacher)
    gradient = parts.sub_(q.mul_(of_student[:, None]))
    if mode == "paper":
        return values, gradient.mul_(1 - beta)
    return values / (beta * (1 - beta)), gradient.div_(beta)


@final
@register
class GeneralisedJSDLoss(nn.Module):
    """Generalised Jensen-Shannon divergence of sequences (Agarwal et al. 2024).

    Args:
        beta: From 0, the forward divergence, to 1, the reverse one.
        mode: `paper`, or `scaled`: continuous in β including the ends, and 4 times the paper's value at 0.5.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        temperature: τ > 0, which both logits are divided by; without a factor of τ².

    >>> import torch
    >>> student, teacher = torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]])
    >>> GeneralisedJSDLoss(0.5)(student, teacher), GeneralisedJSDLoss(0.0)(student, teacher)
    (tensor(0.1087), tensor(0.4330))
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self,
        beta: Fraction = 0.5,
        mode: Mode = "paper",
        chunk: PositiveInt | None = None,
        *,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.beta, self.mode = beta, one_of("mode", mode, Mode)
        self.chunk, self.temperature = chunk, temperature

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_vocabulary(student, teacher)
        beta, mode, temperature = self.beta, self.mode, self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return generalised_jsd(ours / temperature, theirs / temperature, beta, mode)

        closed = at_temperatures(partial(_with_gradient, beta=beta, mode=mode), temperature)
        values = per_token(function, student, teacher, chunk=self.chunk, mask=mask, with_gradient=closed)
        return token_mean(values, mask)
