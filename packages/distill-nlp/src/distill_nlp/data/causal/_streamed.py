"""Samples of a stream of rows, tokenised as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn

from distill_core.data import MappedStream, Vocabulary

from ...tables import row_of
from .._readable import Extent, check_readable
from .._vocabularies import token_set, vocabulary_of
from ._encoder import Encoder
from ._prompts import CompletesPrompts


@final
class StreamedSamples(CompletesPrompts, MappedStream):
    """Samples of a stream of rows. A run resumes within it if the stream has `state_dict`; see `Stream`.

    Args:
        rows: An iterable dataset of torch or of `datasets`, whose items are mappings from column to cell.
        encoder: The encoder of a row.
        max_length: Maximum number of positions of a sample.
    """

    def __init__(self, rows: Any, encoder: Encoder, max_length: int) -> None:
        super().__init__(rows, self._sample)
        self.encoder, self.max_length, self.prompts = encoder, max_length, encoder.prompts
        self.tokens = {f"{prefix}input_ids": token_set(each) for prefix, each in encoder.tokenizers.items()}

    def _sample(self, item: object) -> Mapping[str, Tensor] | None:
        return next(iter(self.encoder.samples(row_of(item), [0])), None)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read samples of the maximum length."""
        extents = {field: Extent(self.max_length) for field in self.tokens}
        check_readable(name, model, inputs, extents, {}, "right")

    def vocabulary_of(self, model: nn.Module, inputs: Mapping[str, str]) -> Vocabulary | None:
        """Return the vocabulary of a model that reads these texts."""
        return vocabulary_of(model, inputs, self.tokens)
