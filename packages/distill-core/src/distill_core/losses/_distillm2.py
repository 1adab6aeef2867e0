"""Contrastive distillation of language models (DistiLLM-2): raise teacher responses, lower the student's own.

    p = softmax(t), q = softmax(s)
    l = 2 · (1 − β) · KL( p ‖ α · p + (1 − α) · q )   for the tokens of the teacher's responses
    l = 2 · β · KL( q ‖ α · q + (1 − α) · p )         for the tokens of the student's responses
    L = mean over tokens of l

With β = ½ both kinds count alike. The paper raises β during training: schedule the attribute `beta`, for example from
½ to ¾ over the first half. With gaps, each response has its own α, smaller for easy ones:

    d = exp(mean log p[y]) − exp(mean log q[y]) for a teacher's response y, the opposite for the student's
    α = 1 − ( 1 − α₀ ) · gap / ( d + 1e-5 ),   within 0.01 and α₀

The gap is the mean of d over the data before the epoch. α is constant here; the authors' trainer (jongwooko/distillm-2,
get_batch_logps) does not detach it.

In mode `code` the q inside the mixture of the student's responses is constant, as in that function: the same value,
another gradient. It averages each response first. With the sum over a pair and equal numbers of tokens, its value is
twice the one here. The mean is that of `token_mean`.

unverified: the golden values are of the authors' statements for a response, retyped, with the paper's weights.

Use: language models with responses of both the teacher and the student.
Taps: logits of all tokens, with `batch.index`, who has written a response, and `batch.mask`.

Paper: DistiLLM-2: A Contrastive Approach Boosts the Distillation of LLMs
Authors: Jongwoo Ko, Tianyi Chen, Sungnyun Kim, Tianyu Ding, Luming Liang, Ilya Zharkov, Se-Young Yun
Venue: ICML
Year: 2025
Link: https://arxiv.org/abs/2503.07067
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_least_float32,
    kl_divergence,
    log_mixture,
    one_of,
    per_token,
    refuse_infinite,
    require_same_vocabulary,
    require_token_logits,
)
from ..ranges import Fraction, PositiveFloat, PositiveInt, Range, checked
from ..registry import register
from ._forward_kl import token_mean
from ._token_ce import next_token_ce, require_token_targets

Mode = Literal["paper", "code"]
MIN_SKEW, EPS = 1e-2, 1e-5


def contrastive_kl(student: Tensor, teacher: Tensor, own: Tensor, skew: Tensor, mode: Mode = "paper") -> Tensor:
    """Return the skewed divergence of teacher responses and the skewed reverse divergence of student responses.

    Args:
        student: Logits (tokens, vocabulary).
        teacher: Logits of the same shape.
        own: (tokens,), whether the token is of a response of the student.
        skew: (tokens,), α, above 0 and below 1.
        mode: `paper`, or `code` with a constant student in the mixture of its own responses.

    Returns:
        (tokens,).
    """
    log_p, log_q = F.log_softmax(teacher, dim=-1), F.log_softmax(student, dim=-1)
    own = own[:, None]
    first, second = torch.where(own, log_q, log_p), torch.where(own, log_p, log_q)
    mixed = torch.where(own, log_q.detach(), log_p) if mode == "code" else first
    return refuse_infinite(kl_divergence(first, log_mixture(mixed, second, skew[:, None])), student, teacher)


@final
@register
class DistiLLM2Loss(nn.Module):
    """Contrastive distillation of sequences (Ko et al. 2025).

    Args:
        skew: α₀, above 0 and below 1.
        beta: β, weight of the student's responses, from 0 to 1.
        teacher_gap: Mean d of the teacher's responses, for an α per response; α₀ for all if omitted.
        student_gap: The same of the student's responses.
        mode: `paper`, or `code` with a constant student in the mixture of its own responses.
        chunk: Number of tokens per chunk.

    >>> import torch
    >>> student, teacher = torch.zeros(2, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]]).expand(2, 1, 3)
    >>> DistiLLM2Loss()(student, teacher, index=torch.tensor([0, 1]))
    tensor(0.3565)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self,
        skew: Annotated[float, Range(above=0, below=1)] = 0.1,
        beta: Fraction = 0.5,
        *,
        teacher_gap: PositiveFloat | None = None,
        student_gap: PositiveFloat | None = None,
        mode: Mode = "paper",
        chunk: PositiveInt = 256,
    ) -> None:
        super().__init__()
        self.skew, self.beta, self.chunk = skew, beta, chunk
        self.teacher_gap, self.student_gap, self.mode = teacher_gap, student_gap, one_of("mode", mode, Mode)

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        index: Tensor,
        target: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, tokens, vocabulary).
            teacher: Logits of the same shape.
            index: (batch,), who has written the response: 0 the teacher, 1 the student.
            target: The tokens of the responses (batch, tokens), aligned with the logits; needed for gaps. −100 does not
                count in α.
            mask: (batch, tokens), which tokens count; all by default.

        Raises:
            ValueError: If the shapes do not match, or targets are missing.
        """
        require_same_vocabulary(student, teacher)
        require_token_logits(student, mask)
        if index.shape != student.shape[:1]:
            message = f"`index` must be (batch,), ({len(student)},) for `student` of shape {tuple(student.shape)}, got {tuple(index.shape)}"
            raise ValueError(message)
        mode, own = self.mode, index.bool()
        per_response = self._skew(student, teacher, own, target, mask)

        def function(ours: Tensor, theirs: Tensor, own: Tensor, skew: Tensor) -> Tensor:
            return contrastive_kl(ours, theirs, own, torch.where(skew > 0, skew, 0.5), mode)  # 0 where the mask is 0

        spread = [x[:, None].expand(student.shape[:2]) for x in (own, per_response)]
        values = per_token(function, student, teacher, *spread, chunk=self.chunk, mask=mask)
        weights = _of_side(per_response, own, 1 - self.beta, self.beta)
        return token_mean(2 * weights[:, None] * values, mask)

    def _skew(
        self, student: Tensor, teacher: Tensor, own: Tensor, target: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """Return α of each response (batch,)."""
        constant = torch.full(own.shape, self.skew, dtype=at_least_float32(student).dtype, device=own.device)
        if self.teacher_gap is None and self.student_gap is None:
            return constant
        if target is None:
            message = "`target` is needed with `teacher_gap` or `student_gap`"
            raise ValueError(message)
        counted = require_token_targets(student, target, mask)
        target = target.masked_fill(~counted, 0)
        with torch.no_grad():
            p, q = (
                (-per_token(next_token_ce, x.detach(), target, chunk=self.chunk, mask=counted)).sum(1)
                / counted.sum(1).clamp(min=1)
                for x in (teacher, student)
            )
            difference = torch.where(own, q.exp() - p.exp(), p.exp() - q.exp())
        gaps = [self.skew if gap is None else gap for gap in (self.teacher_gap, self.student_gap)]
        gap = _of_side(constant, own, *gaps)
        adaptive = (1 - (1 - self.skew) * gap / (difference + EPS)).clamp(MIN_SKEW, self.skew)
        given = torch.where(own, self.student_gap is not None, self.teacher_gap is not None)
        return torch.where(given, adaptive, constant)


def _of_side(like: Tensor, own: Tensor, teacher: float, student: float) -> Tensor:
    """Return the number of each response's side, in the dtype of `like`."""
    return torch.where(own, torch.full_like(like, student), torch.full_like(like, teacher))
