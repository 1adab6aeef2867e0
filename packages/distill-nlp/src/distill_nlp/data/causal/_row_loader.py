"""Loaders of padded or packed samples, from rows of a table or of a stream."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill_core.data import Loader, Stream
from distill_core.errors import DataError

from ...tables import Rows, Table, is_stream, read_rows
from .._documents import split_indices
from .._grouped import loader_of_texts
from .._vocabularies import token_set
from ._encoder import Encoder
from ._packed import PackedSamples
from ._samples import CausalCollate, TokenSequences
from ._sequences import Layout
from ._streamed import StreamedSamples

logger = logging.getLogger("distill")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rows that form samples, and their order.

    Attributes:
        split: `train`, `val`, `test` or `all`; see `split_documents`.
        limit: Maximum number of samples, evenly spaced over the rows of the split. None keeps all.
        val, test, seed: Fractions of the rows in the validation and test splits, and the seed of the split.
        shuffle: Shuffle in each epoch. None does so for `train` and `all`.
    """

    split: str
    limit: int | None
    val: float
    test: float
    seed: int
    shuffle: bool | None

    def rows(self, table: Table) -> list[int]:
        """Return the indices of the rows."""
        return split_indices(table.num_rows, self.split, val=self.val, test=self.test, seed=self.seed, limit=self.limit)

    @property
    def is_shuffled(self) -> bool:
        """Whether each epoch has a new order."""
        return self.split in ("train", "all") if self.shuffle is None else self.shuffle

    @property
    def needs_rows(self) -> dict[str, bool]:
        """The options that need all rows, not a stream, and whether they are set."""
        return {"split": self.split != "all", "limit": self.limit is not None, "shuffle": bool(self.shuffle)}


def loader_of_rows(
    rows: Rows, encoder: Encoder, layout: Layout, selection: Selection, batch_size: int, num_workers: int
) -> Loader:
    """Return a loader of the samples of rows, padded on the right or packed, or of a stream of rows.

    Raises:
        DataError: The rows cannot be read, none fits, or an option needs all rows of a stream.
    """
    if is_stream(rows):
        return _stream(rows, encoder, layout, selection, batch_size, num_workers)
    table = read_rows(rows)
    chosen = selection.rows(table)
    samples = encoder.samples(table, chosen)
    _report_omitted(len(samples), len(chosen), table, layout.max_length)
    fields = {name: [sample[name] for sample in samples] for name in samples[0]}
    padding, tokens = _padding(encoder), _tokens(encoder)
    if not layout.packed:
        dataset = TokenSequences(fields, padding, layout.pad_to, tokens=tokens)
        dataset.prompts = encoder.prompts
        return loader_of_texts(dataset, batch_size, selection.is_shuffled, num_workers, layout.group_by_length)
    inputs, targets, name = fields["input_ids"], fields["target"], "input_ids"
    blocks = PackedSamples(inputs, targets, layout.max_length, padding[name], tokens=tokens[name])
    blocks.prompts = encoder.prompts
    return Loader(blocks, batch_size, shuffle=selection.is_shuffled, num_workers=num_workers)


def _stream(
    rows: Any, encoder: Encoder, layout: Layout, selection: Selection, batch_size: int, num_workers: int
) -> Stream:
    given = {"packed": layout.packed, "group_by_length": layout.group_by_length}
    given |= {**selection.needs_rows, **encoder.needs_rows}
    if wrong := [name for name, is_given in given.items() if is_given]:
        message = f"`{wrong[0]}` needs all rows, but {type(rows).__name__} is a stream"
        raise DataError(message, hint=f"omit `{wrong[0]}`, or load the rows without streaming")
    samples = StreamedSamples(rows, encoder, layout.max_length)
    collate = CausalCollate(_padding(encoder), layout.pad_to)
    return Stream(samples, batch_size, num_workers=num_workers, collate=collate)


def _padding(encoder: Encoder) -> dict[str, int]:
    tokenizers: Mapping[str, Any] = encoder.tokenizers
    return {f"{prefix}input_ids": int(each.pad_token_id or 0) for prefix, each in tokenizers.items()}


def _tokens(encoder: Encoder) -> dict[str, Any]:
    return {f"{prefix}input_ids": token_set(each) for prefix, each in encoder.tokenizers.items()}


def _report_omitted(num_samples: int, num_rows: int, table: Table, max_length: int) -> None:
    """Log the number of conversations that do not fit.

    Raises:
        DataError: None fits.
    """
    if num_samples == 0:
        message = f"no conversation of {table.source} has a first answer within `max_length` ({max_length})"
        raise DataError(message, hint="set a greater `max_length`")
    if num_samples < num_rows:
        text = "%d of %d conversations are omitted: their first answer does not fit in max_length %d"
        logger.warning(text, num_rows - num_samples, num_rows, max_length)
