"""Divergence from the teacher's k most probable tokens (top-k): the remaining tokens form one bucket.

    q_i = softmax(s)_i of the k tokens,   q_rest = 1 − Σ q_i,   p_rest = 1 − Σ p_i
    L = mean over tokens of [ Σ p_i · log(p_i/q_i) + p_rest · log(p_rest/q_rest) ]

A lower bound of the forward divergence, equal to it for k = vocabulary. Without the bucket the loss does not depend on
the mass outside the top k, so the student drains or inflates it. `teacher` holds log-probabilities of the whole
vocabulary, not renormalised over the k, as stored in a cache. The mean is that of `token_mean`.

Temperatures divide the logits before the softmax, without a factor of τ². The logits of the teacher's remaining tokens
are unknown, so its temperature takes them to be equal: exact for k = vocabulary, and an upper bound of the mass of the
bucket for temperatures above 1.

Use: language models with a cache, or with a server that returns the k most probable tokens.
Taps: `student:out.logits`; as teacher a cache with the codec `topk-k`: `teacher:out.logits.log_probs` and
`teacher:out.logits.index`.

Paper: Sparse Logit Sampling: Accelerating Knowledge Distillation in LLMs
Authors: Anshumann, Mohd Abbas Zaidi, Akhil Kedia, Jinwoo Ahn, Taehwak Kwon, Kangwook Lee, Haejun Lee, Joohyung Lee
Venue: ACL
Year: 2025
Link: https://arxiv.org/abs/2503.16870
"""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import LEAST, can_look, kl_divergence, per_token, refuse_infinite
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean

ROUNDING = 1e-2
"""How much of a distribution may be missing from the stored entries because they are rounded."""


def top_k_kl(student: Tensor, teacher: Tensor, index: Tensor) -> Tensor:
    """Return the divergence over k tokens and the bucket of all others.

    Args:
        student: Logits (…, vocabulary).
        teacher: (…, k), log-probabilities.
        index: (…, k), token indices without repetition.

    Returns:
        (…).
    """
    return _of_log_probabilities(F.log_softmax(student, dim=-1), teacher, index)[0]


def _of_log_probabilities(log_q: Tensor, teacher: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the divergence and the log-probabilities of the bucket, of student and teacher (…, 1)."""
    chosen = log_q.gather(-1, index)
    if index.shape[-1] == log_q.shape[-1]:
        values = refuse_infinite(kl_divergence(teacher, chosen), chosen, teacher, numbers=index)
        nothing = chosen.new_full((*chosen.shape[:-1], 1), -torch.inf)
        return values, nothing, nothing
    # Not −∞: if the student itself has all other classes at −∞, the gradient would be NaN.
    rest = log_q.scatter(-1, index, torch.finfo(log_q.dtype).min).logsumexp(-1, keepdim=True)
    remaining = (-torch.expm1(teacher.logsumexp(-1, keepdim=True))).clamp(min=0)
    # If the student's bucket is empty, the teacher's remainder is rounding, or an error.
    empty = rest.detach() < LEAST
    log_rest = remaining.masked_fill(empty & (remaining < ROUNDING), 0).log()
    rest = rest.masked_fill(empty, -torch.inf)
    values = kl_divergence(torch.cat([teacher, log_rest], dim=-1), torch.cat([chosen, rest], dim=-1))
    values = refuse_infinite(values, chosen, teacher, numbers=index)
    return refuse_infinite(values, rest, log_rest, what="class outside the stored ones"), rest, log_rest


def _with_gradient(student: Tensor, teacher: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the divergence of rows and its gradient: q_i · Σp − p_i of the k, q_i · Σp − p_rest · q_i/q_rest of others."""
    log_q = F.log_softmax(student, dim=-1)
    values, rest, log_rest = _of_log_probabilities(log_q, teacher, index)
    p, p_rest = teacher.exp(), log_rest.exp()
    mass = p.sum(-1, keepdim=True) + p_rest
    within = (log_q - rest.clamp(min=LEAST)).exp_()  # q_i/q_rest, which q_rest may be too small for
    gradient = log_q.exp_().mul_(mass)
    chosen = gradient.gather(-1, index) - p
    return values, gradient.sub_(within.mul_(p_rest)).scatter_(-1, index, chosen)


def at_temperature(teacher: Tensor, vocabulary: int, temperature: float) -> Tensor:
    """Return log-probabilities of the k tokens at a temperature, if all other tokens have equal logits.

    Args:
        teacher: (…, k), log-probabilities at a temperature of 1.
        vocabulary: Number of tokens, at least k.
        temperature: τ > 0.

    Returns:
        (…, k).

    >>> at_temperature(torch.tensor([0.5, 0.25]).log(), 4, 0.5).exp()
    tensor([0.7273, 0.1818])
    """
    if temperature == 1:
        return teacher
    num_others = vocabulary - teacher.shape[-1]
    logs = teacher / temperature
    if num_others == 0:
        return logs.log_softmax(dim=-1)
    remaining = (-torch.expm1(teacher.logsumexp(-1, keepdim=True))).clamp(min=0)
    others = math.log(num_others) + (remaining / num_others).log() / temperature
    return logs - torch.cat([logs, others], dim=-1).logsumexp(-1, keepdim=True)


def of_tokens(
    student: Tensor, teacher: Tensor, index: Tensor, mask: Tensor | None, *, entries: str
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return the inputs of a loss of stored entries with a token dimension. A sample of classes has one token.

    Args:
        student, teacher, index, mask: Inputs of `TopKKLLoss`.
        entries: Name of the number of stored entries, for the message.

    Raises:
        ValueError: If the shapes do not match, or an index is not in the student's vocabulary.
    """
    if student.dim() not in (2, 3) or teacher.shape != index.shape or teacher.shape[:-1] != student.shape[:-1]:
        shapes = f"`student` {tuple(student.shape)}, `teacher` {tuple(teacher.shape)} and `index` {tuple(index.shape)}"
        stored = f"(batch, tokens, {entries})"
        message = f"{shapes} must be (batch, tokens, vocabulary), {stored} and {stored}"
        raise ValueError(message)
    if can_look(index) and index.numel() and int(index.max()) >= student.shape[-1]:
        message = f"`index` goes up to {int(index.max())}, but `student` has {student.shape[-1]} logits: their vocabularies differ"
        raise ValueError(message)
    if student.dim() == 2:
        mask = mask[..., None] if mask is not None else None
        return student.unsqueeze(1), teacher.unsqueeze(1), index.unsqueeze(1), mask
    return student, teacher, index, mask


@final
@register
class TopKKLLoss(nn.Module):
    """Divergence from the teacher's k most probable tokens, or classes, and one bucket for the others.

    Args:
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        student_temperature: > 0, divides the student's logits.
        teacher_temperature: > 0, divides the teacher's logits.

    >>> import torch
    >>> student, teacher = torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]])
    >>> top = teacher.log_softmax(dim=2).topk(1)
    >>> TopKKLLoss()(student, top.values, top.indices)
    tensor(0.4330)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self,
        chunk: PositiveInt | None = None,
        *,
        student_temperature: PositiveFloat = 1.0,
        teacher_temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.chunk = chunk
        self.student_temperature, self.teacher_temperature = student_temperature, teacher_temperature

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, tokens, vocabulary), or (batch, classes).
            teacher: (batch, tokens, k), or (batch, k), log-probabilities.
            index: Vocabulary indices of the entries, same shape.
            mask: (batch, tokens), or (batch,), which tokens count; all by default.

        Raises:
            ValueError: If the shapes do not match.
        """
        student, teacher, index, mask = of_tokens(student, teacher, index, mask, entries="k")
        of_student, of_teacher = self.student_temperature, self.teacher_temperature

        def function(ours: Tensor, theirs: Tensor, index: Tensor) -> Tensor:
            return top_k_kl(ours / of_student, at_temperature(theirs, ours.shape[-1], of_teacher), index)

        def closed(ours: Tensor, theirs: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
            values, gradient = _with_gradient(
                ours / of_student, at_temperature(theirs, ours.shape[-1], of_teacher), index
            )
            return values, gradient.div_(of_student)

        values = per_token(function, student, teacher, index, chunk=self.chunk, mask=mask, with_gradient=closed)
        return token_mean(values, mask)
