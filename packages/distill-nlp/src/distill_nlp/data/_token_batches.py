"""Tokenisation of texts in batches, so that a tokenizer's Python lists take a bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ._token_cache import Tokens

BATCH_CHARACTERS = 1 << 20
"""Number of characters after which a batch of texts is complete. A fast tokenizer takes some 40 bytes for each."""

Text = TypeVar("Text", str, Sequence[str])
"""A text, or the words of one."""


def batches_of(columns: Sequence[Sequence[Text]]) -> Iterator[list[list[Text]]]:
    """Yield texts in order, in batches of limited size: the same rows of each column.

    Args:
        columns: Columns of texts, or of lists of words, with equally many rows.

    >>> [[len(column) for column in batch] for batch in batches_of([["a" * 300_000] * 5, ["b"] * 5])]
    [[4, 4], [1, 1]]
    """
    start, size, row = 0, 0, -1
    for row, texts in enumerate(zip(*columns, strict=True)):
        size += sum(map(_num_characters, texts))
        if size >= BATCH_CHARACTERS:
            yield [list(column[start : row + 1]) for column in columns]
            start, size = row + 1, 0
    if start <= row:
        yield [list(column[start:]) for column in columns]


def _num_characters(text: str | Sequence[str]) -> int:
    return len(text) if isinstance(text, str) else sum(map(len, text))


def flat_tokens(batches: Iterable[Mapping[str, Sequence[Sequence[int]]]]) -> Tokens:
    """Return the tokens of all texts, concatenated, int32 for each field, and the `lengths` of the texts.

    >>> flat_tokens([{"input_ids": [[5, 6], [7]]}, {"input_ids": [[8]]}])
    {'lengths': tensor([2, 1, 1]), 'input_ids': tensor([5, 6, 7, 8], dtype=torch.int32)}
    """
    fields: dict[str, array[int]] = {}
    lengths: list[int] = []
    for batch in batches:
        for name, rows in batch.items():
            flat = fields.setdefault(name, array("i"))
            for row in rows:
                flat.extend(row)
        lengths += map(len, batch["input_ids"])
    return {"lengths": torch.tensor(lengths, dtype=torch.long)} | {name: _tensor(flat) for name, flat in fields.items()}


def _tensor(flat: array[int]) -> Tensor:
    return torch.frombuffer(flat, dtype=torch.int32) if flat else torch.empty(0, dtype=torch.int32)
