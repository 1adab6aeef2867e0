"""Cross-entropy of the next token (CE): the language model's own objective, next to distillation terms.

    L = mean over tokens that count of −log softmax(s)[target]

A target of −100 does not count. Logits and targets are aligned: `target[i]` is the token after input i. Unlike
`torch.nn.CrossEntropyLoss` it takes logits as language models give them, allocates no second tensor of their size, and
its mean is that of `token_mean`. Not a method of distillation.

Use: the labels of language models, beside a method or alone.
Taps: `student:out.logits` and `batch.target`.

Paper: none
Authors: none
Venue: none
Year: none
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import per_token, refuse_infinite_target, require_classes, require_token_logits
from ..ranges import PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean

IGNORED = -100


def next_token_ce(student: Tensor, target: Tensor) -> Tensor:
    """Return −log softmax(student)[target] of each token, 0 where the target is −100.

    Args:
        student: Logits (tokens, vocabulary).
        target: (tokens,) int64.

    Returns:
        (tokens,).
    """
    values = F.cross_entropy(student, target, ignore_index=IGNORED, reduction="none")
    return refuse_infinite_target(values, student, target)


def next_token_ce_with_gradient(student: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of rows that count, and its gradient: q less 1 at the target."""
    log_q = F.log_softmax(student, dim=-1)
    values = F.nll_loss(log_q, target, ignore_index=IGNORED, reduction="none")
    values = refuse_infinite_target(values, student, target)
    index = target.clamp(min=0)[:, None]
    return values, log_q.exp_().scatter_add_(-1, index, log_q.new_full(index.shape, -1.0))


@final
@register
class TokenCELoss(nn.Module):
    """Cross-entropy of the next token.

    Args:
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.

    >>> import torch
    >>> TokenCELoss()(torch.zeros(1, 2, 3), torch.tensor([[2, -100]]))
    tensor(1.0986)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(self, chunk: PositiveInt | None = None) -> None:
        super().__init__()
        self.chunk = chunk

    def forward(self, student: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary).

        Args:
            student: Logits.
            target: (batch, tokens), −100 for tokens that do not count.
            mask: (batch, tokens), 0 for further tokens that do not count.

        Raises:
            ValueError: If the shapes do not match.
            DataError: If the target of a counted token is not in the vocabulary.
        """
        counted = require_token_targets(student, target, mask)
        target = target.masked_fill(~counted, IGNORED)
        values = per_token(
            next_token_ce,
            student,
            target,
            chunk=self.chunk,
            mask=counted,
            with_gradient=next_token_ce_with_gradient,
        )
        return token_mean(values, counted)

    @staticmethod
    def count(target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the number of counted tokens."""
        return counted_targets(target, mask).sum()


def require_token_targets(student: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
    """Check logits, targets and mask of sequences, and return which tokens count.

    Raises:
        ValueError: If the shapes do not match.
        DataError: If the target of a counted token is not in the vocabulary.
    """
    require_token_logits(student, mask)
    if student.shape[:2] != target.shape:
        message = f"`student` {tuple(student.shape)} and `target` {tuple(target.shape)} must be (batch, tokens, vocabulary) and (batch, tokens)"
        raise ValueError(message)
    counted = counted_targets(target, mask)
    require_classes(target.masked_fill(~counted, 0), student.shape[2])
    return counted


def counted_targets(target: Tensor, mask: Tensor | None) -> Tensor:
    """Return which tokens have a target other than −100 and are not hidden by the mask."""
    return target != IGNORED if mask is None else (target != IGNORED) & mask.bool()
