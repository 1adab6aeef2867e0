"""Divergence from the teacher's k most probable tokens (top-k): what lies outside is one bucket.

    q_i = softmax(s)_i of the k tokens,   q_rest = 1 − Σ q_i,   p_rest = 1 − Σ p_i
    L = mean over tokens of [ Σ p_i · log(p_i/q_i) + p_rest · log(p_rest/q_rest) ]

A lower bound of the forward divergence, equal to it for k = vocabulary. Without the bucket the student is not told how
much lies outside and drains it, or fills it. `teacher` holds logarithms of probabilities of the whole vocabulary, not
renormalised over the k: as stored in a cache. The mean is that of `token_mean`.

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
    """The divergence over k tokens and the bucket of all others.

    Args:
        student: Logits (…, vocabulary).
        teacher: (…, k), logarithms of probabilities.
        index: (…, k), which tokens they are of; no token twice.

    Returns:
        (…).
    """
    log_q = F.log_softmax(student, dim=-1)
    chosen = log_q.gather(-1, index)
    if index.shape[-1] == student.shape[-1]:
        return refuse_infinite(kl_divergence(teacher, chosen), chosen, teacher, numbers=index)
    # Not −∞: where the student itself rules out all others, the gradient would not be a number.
    rest = log_q.scatter(-1, index, torch.finfo(log_q.dtype).min).logsumexp(-1, keepdim=True)
    remaining = (-torch.expm1(teacher.logsumexp(-1, keepdim=True))).clamp(min=0)
    # A student that rules out all others has an empty bucket: what remains of the teacher's is rounding, or an error.
    empty = rest.detach() < LEAST
    log_rest = remaining.masked_fill(empty & (remaining < ROUNDING), 0).log()
    rest = rest.masked_fill(empty, -torch.inf)
    values = kl_divergence(torch.cat([teacher, log_rest], dim=-1), torch.cat([chosen, rest], dim=-1))
    values = refuse_infinite(values, chosen, teacher, numbers=index)
    return refuse_infinite(values, rest, log_rest, what="class outside the stored ones")


def of_tokens(
    student: Tensor, teacher: Tensor, index: Tensor, mask: Tensor | None, *, entries: str
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What a loss of stored entries takes, with a dimension of tokens: a class is a sample's one token.

    Args:
        student, teacher, index, mask: As `TopKKLLoss` takes them.
        entries: What the number of stored entries is called, for the message.

    Raises:
        ValueError: The shapes do not go together.
    """
    if teacher.shape != index.shape or teacher.shape[:-1] != student.shape[:-1]:
        shapes = f"`student` {tuple(student.shape)}, `teacher` {tuple(teacher.shape)} and `index` {tuple(index.shape)}"
        stored = f"(batch, tokens, {entries})"
        message = f"{shapes} must be (batch, tokens, vocabulary), {stored} and {stored}"
        raise ValueError(message)
    if student.dim() == 2:
        mask = mask.unsqueeze(1) if mask is not None else None
        return student.unsqueeze(1), teacher.unsqueeze(1), index.unsqueeze(1), mask
    return student, teacher, index, mask


@final
@register
class TopKKLLoss(nn.Module):
    """Divergence from the teacher's k most probable tokens, or classes, and one bucket for the others.

    Args:
        chunk: How many tokens to look at at a time.

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
        """The scalar loss.

        Args:
            student: Logits (batch, tokens, vocabulary), or (batch, classes).
            teacher: (batch, tokens, k), or (batch, k), logarithms of probabilities.
            index: Of the same shape, which tokens of the vocabulary they are of.
            mask: (batch, tokens), or (batch,), which count; all if left out.

        Raises:
            ValueError: The shapes do not go together.
        """
        student, teacher, index, mask = of_tokens(student, teacher, index, mask, entries="k")
        return token_mean(per_token(top_k_kl, student, teacher, index, chunk=self.chunk, mask=mask), mask)
