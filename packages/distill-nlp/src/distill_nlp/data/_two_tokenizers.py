"""Pairs of texts for models that embed each text separately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from distill_core.errors import DataError, did_you_mean

from ..tables import Columns
from ._encoded import EncodedTexts, Tokenizer, find_tokenizer


@final
class TextsApart:
    """Pairs of texts, each text tokenised separately. A sample is a dict of its two `texts` and its `target`.

    Args:
        texts: Two lists of texts of equal length.
        targets: A class index or a score for each pair, None without targets.
        tokenizer: The tokenizer.
        max_length: Number of tokens to which longer texts are truncated.
        labels: The class names in order, None for scores.
        cache: A folder that caches the tokens.

    Attributes:
        lengths: (samples,) int64, number of tokens of the longer text.

    Raises:
        DataError: `texts` does not have two columns.
    """

    def __init__(
        self,
        texts: Sequence[list[str]],
        targets: Sequence[Any] | None,
        tokenizer: Tokenizer,
        max_length: int = 128,
        *,
        labels: Sequence[str] | None = None,
        cache: str | Path | None = None,
    ) -> None:
        if len(texts) != 2:
            message = f"`apart` requires two columns of texts, got {len(texts)}"
            raise DataError(message)
        self.first, self.second = (EncodedTexts([column], None, tokenizer, max_length, cache=cache) for column in texts)
        self.lengths = torch.maximum(self.first.lengths, self.second.lengths)
        self.labels = tuple(labels) if labels is not None else None
        self.targets = list(targets) if targets is not None else None

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        return self.first.tokenizer

    def __len__(self) -> int:
        return len(self.lengths)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        self.first.check_model(name, model, inputs)
        self.second.check_model(name, model, inputs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one pair without padding."""
        sample: dict[str, Any] = {"texts": [self.first[index], self.second[index]]}
        return sample if self.targets is None else sample | {"target": self.targets[index]}

    def collate(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Return token fields (2 · batch, longest), in which rows 2i and 2i + 1 are a pair, and `target` (batch,)."""
        batch = self.first.collate([text for sample in samples for text in sample["texts"]])
        if self.targets is not None:
            batch["target"] = torch.tensor([sample["target"] for sample in samples])
        return batch


def encoded(
    texts: Sequence[list[str]],
    targets: Sequence[Any] | None,
    tokenizer: str | Tokenizer,
    max_length: int,
    *,
    labels: Sequence[str] | None,
    tokenizers: Mapping[str, str | Tokenizer] | None = None,
    max_lengths: Mapping[str, int] | None = None,
    apart: bool = False,
    cache: str | Path | None = None,
    columns: Columns = (),
) -> EncodedTexts | TextsApart:
    """Return the tokenised texts, pairs jointly or, with `apart`, separately.

    Raises:
        DataError: `apart` is combined with several tokenizers, or a length is that of no tokenizer.
    """
    loaded = find_tokenizer(tokenizer)
    if apart and tokenizers:
        message = "`apart` and `tokenizers` cannot be combined"
        raise DataError(message, hint="omit one of them")
    if apart:
        return TextsApart(texts, targets, loaded, max_length, labels=labels, cache=cache)
    if unknown := sorted(set(max_lengths or {}) - set(tokenizers or {})):
        message = f"`max_lengths` has '{unknown[0]}', which is not one of `tokenizers`"
        raise DataError(message, hint=did_you_mean(unknown[0], tokenizers or {}))
    others = {name: find_tokenizer(other) for name, other in (tokenizers or {}).items()}
    return EncodedTexts(
        texts, targets, loaded, max_length, labels=labels, others=others, max_lengths=max_lengths, cache=cache,
        columns=columns,
    )  # fmt: skip
