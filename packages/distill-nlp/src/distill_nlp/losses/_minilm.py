"""MiniLM: match the last layer's attention distributions and the relations between its values.

    A(q, k) = softmax( q · kᵀ / √d ) of each head,   d the width of a head
    L = mean over heads and tokens of KL( A(q_t, k_t) ‖ A(q_s, k_s) )
      + mean over heads and tokens of KL( A(v_t, v_t) ‖ A(v_s, v_s) )

The widths may differ, the number of heads may not. Any layer of the teacher can be used. Queries, keys and values are
tapped as modules, so no model has to return its attentions.

Use: encoders with equal numbers of heads, before fine-tuning.
Taps: `[queries, keys, values]` of one layer of each model, tapped as modules.

Paper: MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained Transformers
Authors: Wenhui Wang, Furu Wei, Li Dong, Hangbo Bao, Nan Yang, Ming Zhou
Venue: NeurIPS
Year: 2020
Link: https://arxiv.org/abs/2002.10957
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from distill_core.errors import WiringError
from distill_core.layers import kl_divergence
from distill_core.losses import token_mean
from distill_core.ranges import PositiveInt, checked
from distill_core.registry import register

from ._attention import attention_scores


def attention_divergence(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], heads: int, mask: Tensor | None = None
) -> Tensor:
    """Return KL between attentions, the mean over heads and over the tokens of all processes.

    Args:
        student: Queries and keys, each (batch, tokens, width).
        teacher: The same, but the width may differ.
        heads: Number of heads that a width is split into.
        mask: (batch, tokens). Masked tokens neither attend nor are attended to.
    """
    ours = _log_attention(*student, heads, mask)
    theirs = _log_attention(teacher[0].detach(), teacher[1].detach(), heads, mask)
    values = kl_divergence(theirs, ours).mean(dim=1)
    return token_mean(values if mask is None else torch.where(mask.bool(), values, 0), mask)


def relation_divergence(student: Tensor, teacher: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Return `attention_divergence` of tensors with themselves."""
    return attention_divergence((student, student), (teacher, teacher), heads, mask)


@final
@register
class MiniLMLoss(nn.Module):
    """MiniLM (Wang et al. 2020).

    Args:
        heads: Number of attention heads of both models.

    >>> student, teacher = torch.randn(3, 2, 5, 8), torch.randn(3, 2, 5, 12)
    >>> loss = MiniLMLoss(heads=4)
    >>> loss(list(student), list(teacher)) > 0, loss(list(teacher), list(teacher))
    (tensor(True), tensor(0.))
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(self, heads: PositiveInt) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of `[queries, keys, values]` (batch, tokens, width) and a mask (batch, tokens)."""
        query, key, value = require_three("student", student)
        their_query, their_key, their_value = require_three("teacher", teacher)
        attention = attention_divergence((query, key), (their_query, their_key), self.heads, mask)
        return attention + relation_divergence(value, their_value, self.heads, mask)


def require_three(name: str, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, or raise if there are not three tensors.

    Raises:
        WiringError: If there are not three.
    """
    if len(tensors) != 3:
        message = f"`{name}` takes three taps (queries, keys, values), got {len(tensors)}"
        raise WiringError(message)
    query, key, value = tensors
    return query, key, value


def _log_attention(query: Tensor, key: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """Return log-probabilities (batch, heads, tokens, tokens), very low where the mask is 0."""
    scores = attention_scores(query, key, heads)
    if mask is not None:
        # A finite number: the divergence multiplies probabilities of 0 by differences of logarithms.
        scores = scores.masked_fill(~mask.bool()[:, None, None, :], -1e4)
    return scores.log_softmax(dim=-1)
