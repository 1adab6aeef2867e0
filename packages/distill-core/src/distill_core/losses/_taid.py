"""Temporally adaptive interpolated distillation (TAID): move the target from the student to the teacher.

    p_t = softmax( (1 − t) · s + t · teacher ),   s without gradient
    L = mean over tokens of KL( p_t ‖ softmax(s) )

After each forward in training mode, with L₀ the loss before:

    m ← β · m + (1 − β) · (L₀ − L)/L₀
    t ← min( t_end, max( t_start + (t_end − t_start) · progress, t + α · σ(m) · (1 − t) ) )

`progress`, from 0 to 1, is set by the trainer with `set_progress`. In the authors' code (SakanaAI/TAID) the L that
moves t is the cross-entropy −Σ p_t log softmax(s) instead of the divergence, which has the same gradient: `code`. The
state is kept in buffers, and L is that of all processes together, so that they agree on t; in the authors' code each
process uses its own loss. The first forward only stores L. The mean is that of `token_mean`.

Use: language models of one vocabulary, above all with a teacher that is much larger than its student.
Taps: logits of all tokens, `student:out.logits` and `teacher:out.logits`, with `batch.mask`.

Paper: TAID: Temporally Adaptive Interpolated Distillation for Efficient Knowledge Transfer in Language Models
Authors: Makoto Shing, Kou Misaki, Han Bao, Sho Yokoi, Takuya Akiba
Venue: ICLR
Year: 2025
Link: https://arxiv.org/abs/2501.16937
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import sum_over_processes, world_size
from ..layers import (
    Progress,
    cross_entropy,
    finite,
    kl_divergence,
    one_of,
    per_token,
    refuse_infinite,
    require_same_vocabulary,
    within,
)
from ..ranges import Fraction, PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean

Mode = Literal["paper", "code"]


def interpolated_kl(student: Tensor, teacher: Tensor, t: Tensor | float) -> Tensor:
    """Return KL( p_t ‖ softmax(student) ) with p_t constant.

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits of the same shape.
        t: From 0 (the student itself) to 1 (the teacher).

    Returns:
        (…).
    """
    log_p = F.log_softmax(_between(student, teacher, t), dim=-1)
    values = kl_divergence(log_p, F.log_softmax(student, dim=-1))
    return refuse_infinite(values, student, teacher)


def _between(student: Tensor, teacher: Tensor, t: Tensor | float) -> Tensor:
    """Return the logits of p_t, without gradient."""
    weight = torch.as_tensor(t, dtype=student.dtype, device=student.device)
    return torch.lerp(finite(student.detach()), finite(teacher.detach()), weight)


@final
@register
class TAIDLoss(nn.Module):
    """Temporally adaptive interpolated distillation of sequences (Shing et al. 2025).

    Args:
        start: Initial t.
        end: Final t.
        rate: α, step size of the adaptive increase of t.
        momentum: β of the running change of the loss.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        mode: What moves t: the divergence (`paper`) or the cross-entropy (`code`).
        temperature: τ > 0, which both logits are divided by; without a factor of τ².

    >>> import torch
    >>> loss = TAIDLoss()
    >>> loss(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]])), loss.t
    (tensor(0.0788), tensor(0.4000))
    """

    reduction_scope: ClassVar[str] = "token"
    decomposes: ClassVar[bool] = False
    t: Tensor
    progress: Tensor
    change: Tensor
    previous: Tensor

    @checked
    def __init__(
        self,
        start: Fraction = 0.4,
        end: Fraction = 1.0,
        rate: Fraction = 5e-4,
        momentum: Fraction = 0.99,
        chunk: PositiveInt | None = None,
        mode: Mode = "paper",
        *,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.start, self.end = start, within("end", end, start, 1)
        self.rate, self.momentum = rate, momentum
        self.chunk, self.mode = chunk, one_of("mode", mode, Mode)
        self.temperature = temperature
        self.register_buffer("t", torch.tensor(float(start)))
        self.register_buffer("progress", torch.tensor(0.0))
        self.register_buffer("change", torch.tensor(0.0))
        self.register_buffer("previous", torch.tensor(math.nan))

    def set_progress(self, progress: Progress) -> None:
        """Set the training progress. Called by the trainer before each step."""
        self.progress.fill_(progress.progress)

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_vocabulary(student, teacher)
        t, temperature = self.t.clone(), self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return interpolated_kl(ours / temperature, theirs / temperature, t)

        values = per_token(function, student, teacher, chunk=self.chunk, mask=mask)
        loss = token_mean(values, mask)
        if self.training:
            moving = loss.detach() + (self._entropy(student, teacher, mask) if self.mode == "code" else 0)
            self._advance((sum_over_processes(moving) / world_size()).to(t.dtype))
        return loss

    @torch.no_grad()
    def _entropy(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mean entropy of p_t: the cross-entropy less the divergence."""

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            log_p = F.log_softmax(_between(ours, theirs, self.t) / self.temperature, dim=-1)
            return cross_entropy(log_p.exp(), log_p)

        return token_mean(per_token(function, student, teacher, chunk=self.chunk, mask=mask), mask)

    @torch.no_grad()
    def _advance(self, loss: Tensor) -> None:
        first = self.previous.isnan()
        relative = (self.previous - loss) / self.previous.clamp(min=torch.finfo(loss.dtype).tiny)
        change = self.momentum * self.change + (1 - self.momentum) * relative
        line = self.start + (self.end - self.start) * self.progress
        t = torch.maximum(line, self.t + self.rate * change.sigmoid() * (1 - self.t)).clamp(max=self.end)
        self.change.copy_(torch.where(first, self.change, change))
        self.t.copy_(torch.where(first, self.t, t))
        self.previous.copy_(loss)
