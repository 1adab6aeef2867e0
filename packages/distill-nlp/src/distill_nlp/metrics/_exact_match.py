"""How often what a model writes is just what was to be written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from distill_core.distributed import sum_over_processes
from distill_core.errors import DataError

IGNORED = -100


@final
class ExactMatch(nn.Module):
    """The fraction of samples whose completion was written word for word, or rather token for token.

    Besides `update` and `compute()` it takes what a metric of `evaluate` takes, with texts: `add_batch` and
    `compute(predictions=…, references=…)` compare strings without the spaces around them.

    >>> metric = ExactMatch()
    >>> metric.update(torch.tensor([[7, 0, 5], [8, 0, 0]]), torch.tensor([[-100, 7, 0, -100], [-100, 9, 0, -100]]))
    >>> metric.compute()
    0.5
    >>> metric.compute(predictions=["yes", "no "], references=["yes", "no"])
    1.0
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
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            preds: (batch, new tokens), what was written, from its first token on; what stands behind the length of the
                right completion, whose end token is part of it, does not matter.
            target: (batch, positions), the completion's tokens, in one stretch, −100 elsewhere.

        Raises:
            DataError: There are not as many samples.
        """
        if len(preds) != len(target):
            message = (
                f"preds are {tuple(preds.shape)} and target is {tuple(target.shape)}, which are not the same samples"
            )
            raise DataError(message)
        counted = target != IGNORED
        place = counted.cumsum(1) - 1
        within = place < preds.shape[1]
        written = preds.gather(1, place.clamp(0, preds.shape[1] - 1))
        right = (~counted | (within & (written == target))).all(1) & counted.any(1)
        self.counts += torch.stack([right.sum(), counted.any(1).sum()]).to(self.counts.device)

    def add_batch(self, *, predictions: Sequence[str], references: Sequence[str]) -> None:
        """Texts, under the names of `evaluate`.

        Raises:
            DataError: There are not as many.
        """
        if len(predictions) != len(references):
            message = f"{len(predictions)} predictions and {len(references)} references"
            raise DataError(message)
        right = sum(ours.strip() == theirs.strip() for ours, theirs in zip(predictions, references, strict=True))
        self.counts += torch.tensor([right, len(references)], device=self.counts.device)

    def compute(self, *, predictions: Sequence[str] | None = None, references: Sequence[str] | None = None) -> float:
        """The fraction over all processes; of these alone, if given. NaN without samples."""
        if predictions is not None and references is not None:
            self.reset()
            self.add_batch(predictions=predictions, references=references)
        right, count = sum_over_processes(self.counts).tolist()
        if predictions is not None:
            self.reset()
        return right / count if count else math.nan
