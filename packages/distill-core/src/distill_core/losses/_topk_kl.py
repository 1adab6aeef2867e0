"""Divergence from the teacher's k most probable tokens (top-k): the remaining tokens form one bucket.

    q_i = softmax(s)_i of the k tokens,   q_rest = 1 − Σ q_i,   p_rest = 1 − Σ p_i
    L = mean over tokens of [ Σ p_i · log(p_i/q_i) + p_rest · log(p_rest/q_rest) ]

A lower bound of the forward divergence, equal to it for k = vocabulary. Without the bucket the loss does not depend on
the mass outside the top k, so the student drains or inflates it. `teacher` holds log-probabilities of the whole
vocabulary, not renormalised over the k, as stored in a cache. The mean is that of `token_mean`.

Paper: Sparse Logit Sampling: Accelerating Knowledge Distillation in LLMs
Authors: Anshumann, Mohd Abbas Zaidi, Akhil Kedia, Jinwoo Ahn, Taehwak Kwon, Kangwook Lee, Haejun Lee, Joohyung Lee
Venue: ACL
Year: 2025
Link: https://arxiv.org/abs/2503.16870
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import LEAST, kl_divergence, per_token, refuse_infinite
from ..ranges import PositiveInt, checked
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
    log_q = F.log_softmax(student, dim=-1)
    chosen = log_q.gather(-1, index)
    if index.shape[-1] == student.shape[-1]:
        return refuse_infinite(kl_divergence(teacher, chosen), chosen, teacher, numbers=index)
    # Not −∞: if the student itself has all other classes at −∞, the gradient would be NaN.
    rest = log_q.scatter(-1, index, torch.finfo(log_q.dtype).min).logsumexp(-1, keepdim=True)
    remaining = (-torch.expm1(teacher.logsumexp(-1, keepdim=True))).clamp(min=0)
    # If the student's bucket is empty, the teacher's remainder is rounding, or an error.
    empty = rest.detach() < LEAST
    log_rest = remaining.masked_fill(empty & (remaining < ROUNDING), 0).log()
    rest = rest.masked_fill(empty, -torch.inf)
    values = kl_divergence(torch.cat([teacher, log_rest], dim=-1), torch.cat([chosen, rest], dim=-1))
    values = refuse_infinite(values, chosen, teacher, numbers=index)
    return refuse_infinite(values, rest, log_rest, what="class outside the stored ones")


def of_tokens(
    student: Tensor, teacher: Tensor, index: Tensor, mask: Tensor | None, *, entries: str
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return the inputs of a loss of stored entries with a token dimension. A sample of classes has one token.

    Args:
        student, teacher, index, mask: Inputs of `TopKKLLoss`.
        entries: Name of the number of stored entries, for the message.

    Raises:
        ValueError: If the shapes do not match.
    """
    if student.dim() not in (2, 3) or teacher.shape != index.shape or teacher.shape[:-1] != student.shape[:-1]:
        shapes = f"`student` {tuple(student.shape)}, `teacher` {tuple(teacher.shape)} and `index` {tuple(index.shape)}"
        stored = f"(batch, tokens, {entries})"
        message = f"{shapes} must be (batch, tokens, vocabulary), {stored} and {stored}"
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
        chunk: Number of tokens per chunk.

    >>> import torch
    >>> student, teacher = torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0.0, 0.0]]])
    >>> top = teacher.log_softmax(dim=2).topk(1)
    >>> TopKKLLoss()(student, top.values, top.indices)
    tensor(0.4330)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(self, chunk: PositiveInt = 256) -> None:
        super().__init__()
        self.chunk = chunk

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
        return token_mean(per_token(top_k_kl, student, teacher, index, chunk=self.chunk, mask=mask), mask)
