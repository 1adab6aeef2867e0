"""Agreement of a student's next tokens with those of its teacher."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from distill_core.errors import DataError

from ._fraction import AbstractFraction


@final
class TokenAgreement(AbstractFraction[Tensor]):
    """The fraction of positions at which student and teacher have the same most probable token.

    >>> metric = TokenAgreement()
    >>> metric.update(torch.eye(3)[None], torch.eye(3)[torch.tensor([[0, 1, 1]])])
    >>> round(metric.compute(), 4)
    0.6667
    """

    @torch.no_grad()
    def update(self, preds: Tensor, teacher: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            preds: The student's logits (batch, tokens, vocabulary), or its tokens (batch, tokens).
            teacher: The teacher's logits or tokens.
            mask: (batch, tokens), the tokens that count. None counts all.

        Raises:
            DataError: The numbers of tokens differ.
        """
        ours, theirs = (given.argmax(-1) if given.is_floating_point() else given for given in (preds, teacher))
        if ours.shape != theirs.shape:
            shapes = f"{tuple(preds.shape)} and {tuple(teacher.shape)}"
            message = f"`preds` and `teacher` must have the same tokens, got {shapes}"
            raise DataError(message)
        self._add(ours == theirs, torch.ones_like(ours, dtype=torch.bool) if mask is None else mask.bool())

    def add_batch(self, *, predictions: Tensor, references: Tensor) -> None:
        """Add a batch, with the argument names of `evaluate`. The references are the teacher's."""
        self.update(torch.as_tensor(predictions), torch.as_tensor(references))
