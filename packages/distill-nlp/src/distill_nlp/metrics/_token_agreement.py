"""How often a student's next token is its teacher's."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from distill_core.distributed import sum_over_processes
from distill_core.errors import DataError


@final
class TokenAgreement(nn.Module):
    """The fraction of tokens at which student and teacher hold the same token for the most probable.

    >>> metric = TokenAgreement()
    >>> metric.update(torch.eye(3)[None], torch.eye(3)[torch.tensor([[0, 1, 1]])])
    >>> round(metric.compute(), 4)
    0.6667
    """

    percent = True

    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long), persistent=False)

    def reset(self) -> None:
        """Forget what was seen."""
        self.counts.zero_()

    @torch.no_grad()
    def update(self, preds: Tensor, teacher: Tensor, mask: Tensor | None = None) -> None:
        """Count a batch.

        Args:
            preds: Logits (batch, tokens, vocabulary), or token numbers (batch, tokens).
            teacher: The same of the teacher.
            mask: (batch, tokens), which tokens count; all if left out.

        Raises:
            DataError: The tokens are not as many.
        """
        ours, theirs = (given.argmax(-1) if given.is_floating_point() else given for given in (preds, teacher))
        if ours.shape != theirs.shape:
            message = (
                f"preds are {tuple(preds.shape)} and teacher is {tuple(teacher.shape)}, which are not the same tokens"
            )
            raise DataError(message)
        counted = torch.ones_like(ours, dtype=torch.bool) if mask is None else mask.bool()
        self.counts += torch.stack([((ours == theirs) & counted).sum(), counted.sum()]).to(self.counts.device)

    def add_batch(self, *, predictions: Tensor, references: Tensor) -> None:
        """The same with the names of `evaluate`; the references are the teacher's."""
        self.update(torch.as_tensor(predictions), torch.as_tensor(references))

    def compute(self, *, predictions: Tensor | None = None, references: Tensor | None = None) -> float:
        """The fraction over all processes; of these alone, if given. NaN without tokens."""
        if predictions is not None and references is not None:
            self.reset()
            self.add_batch(predictions=predictions, references=references)
        same, count = sum_over_processes(self.counts).tolist()
        if predictions is not None:
            self.reset()
        return same / count if count else math.nan
