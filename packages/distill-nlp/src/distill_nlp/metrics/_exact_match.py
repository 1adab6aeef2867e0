"""Exact match of generated completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from distill_core.errors import DataError

from .._ignored import IGNORED
from ._fraction import AbstractFraction


@final
class ExactMatch(AbstractFraction[Sequence[str]]):
    """Exact match: the fraction of completions generated token for token.

    `add_batch` and `compute(predictions=…, references=…)` compare strings, without surrounding whitespace.

    >>> metric = ExactMatch()
    >>> metric.update(torch.tensor([[7, 0, 5], [8, 0, 0]]), torch.tensor([[-100, 7, 0, -100], [-100, 9, 0, -100]]))
    >>> metric.compute()
    0.5
    >>> metric.compute(predictions=["yes", "no "], references=["yes", "no"])
    1.0
    """

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (batch, new tokens), the generated tokens. Tokens after the length of the correct completion, which
                includes its end token, are ignored.
            target: (batch, positions), the consecutive tokens of the completion, −100 elsewhere.

        Raises:
            DataError: The numbers of samples differ.
        """
        if len(preds) != len(target):
            shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
            message = f"`preds` and `target` must have the same number of samples, got {shapes}"
            raise DataError(message)
        counted = target != IGNORED
        index = counted.cumsum(1) - 1
        within = index < preds.shape[1]
        generated = preds.gather(1, index.clamp(0, preds.shape[1] - 1))
        self._add((~counted | (within & (generated == target))).all(1), counted.any(1))

    def add_batch(self, *, predictions: Sequence[str], references: Sequence[str]) -> None:
        """Add a batch of texts, with the argument names of `evaluate`.

        Raises:
            DataError: The numbers of texts differ.
        """
        if len(predictions) != len(references):
            message = f"expected as many references as predictions, got {len(references)} and {len(predictions)}"
            raise DataError(message)
        pairs = zip(predictions, references, strict=True)
        correct = torch.tensor([prediction.strip() == reference.strip() for prediction, reference in pairs]).bool()
        self._add(correct, torch.ones_like(correct))
