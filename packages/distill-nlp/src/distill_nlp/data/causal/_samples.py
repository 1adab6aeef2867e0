"""Samples for causal language models: the target of each position is the next token.

`input_ids`, `target` and `mask` have the same shape. `target[i]` is the token after `input_ids[i]`, or −100 if it is
ignored, and `mask` marks the targets that count. Logits and targets are aligned, so no loss shifts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from distill_core.data import Vocabulary
from distill_core.errors import DataError

from ..._ignored import IGNORED
from .._readable import check_readable, extents_of
from .._vocabularies import TokenSet, vocabulary_of
from ._prompts import CompletesPrompts


def check_lengths(**lengths: int | None) -> None:
    """Check that numbers of tokens are at least 1.

    Raises:
        DataError: One is not.
    """
    for name, length in lengths.items():
        if length is not None and length < 1:
            message = f"`{name}` must be >= 1, got {length}"
            raise DataError(message)


@final
class TokenSequences(CompletesPrompts):
    """Sequences of different lengths, padded on the right, which causal models do not attend to.

    Args:
        fields: `input_ids` and `target`, one tensor (tokens,) per sample, and optionally further pairs such as
            `teacher_input_ids` and `teacher_target`.
        padding: Field of input tokens → its padding token.
        pad_to: Number of positions in every batch. Defaults to those of the batch's longest sample.
        tokens: Field of input tokens → the tokens of its tokenizer.

    Attributes:
        lengths: (samples,) int64, number of positions.
        num_tokens: (samples,) int64, number of targets that count.

    Raises:
        DataError: A sample has no target that counts.
    """

    def __init__(
        self,
        fields: Mapping[str, Sequence[Tensor]],
        padding: Mapping[str, int],
        pad_to: int | None = None,
        *,
        tokens: Mapping[str, TokenSet | None] | None = None,
    ) -> None:
        self.fields, self.tokens = dict(fields), dict(tokens or {})
        self.collate = CausalCollate(padding, pad_to)
        self.lengths = torch.tensor([len(row) for row in self.fields["input_ids"]])
        self.num_tokens = num_counted(self.fields["target"])
        for name, rows in self.fields.items():
            if name.endswith("target") and name != "target":
                num_counted(rows)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        extents = {
            field: replace(extent, longest=max(extent.longest, self.collate.pad_to or 0))
            for field, extent in extents_of(self.fields, inputs).items()
        }
        check_readable(name, model, inputs, extents, self.collate.padding, "right")

    def vocabulary_of(self, model: nn.Module, inputs: Mapping[str, str]) -> Vocabulary | None:
        """Return the vocabulary of a model that reads these texts."""
        return vocabulary_of(model, inputs, self.tokens)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one sample without padding."""
        return {name: rows[index] for name, rows in self.fields.items()}


@final
class CausalCollate:
    """Collate function that pads each field to the longest sample and adds a mask of the targets that count.

    Args:
        padding: Field of input tokens → its padding token. Targets are padded with −100.
        pad_to: Fixed number of positions, for a teacher cache, whose entries must not depend on the other samples.

    >>> batch = CausalCollate({"input_ids": 0})(
    ...     [{"input_ids": torch.tensor([5, 6]), "target": torch.tensor([-100, 7])},
    ...      {"input_ids": torch.tensor([5]), "target": torch.tensor([9])}]
    ... )
    >>> batch["input_ids"].tolist(), batch["mask"].tolist()
    ([[5, 6], [5, 0]], [[False, True], [True, False]])
    """

    def __init__(self, padding: Mapping[str, int], pad_to: int | None = None) -> None:
        self.padding = dict(padding)
        self.pad_to = pad_to

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Return the batch, (batch, longest) per field."""
        batch = {name: self._pad(name, [sample[name].long() for sample in samples]) for name in samples[0]}
        masks = {name.replace("target", "mask"): batch[name] != IGNORED for name in batch if name.endswith("target")}
        return batch | masks

    def _pad(self, name: str, rows: list[Tensor]) -> Tensor:
        filler = self.padding.get(name, IGNORED)
        if self.pad_to is not None and len(rows[0]) < self.pad_to:
            rows[0] = F.pad(rows[0], (0, self.pad_to - len(rows[0])), value=filler)
        return pad_sequence(rows, batch_first=True, padding_value=filler)


def num_counted(rows: Sequence[Tensor]) -> Tensor:
    """Return the number of targets that count of each sample, at least 1."""
    counts = torch.tensor([int((row != IGNORED).sum()) for row in rows], dtype=torch.long)
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        message = f"{len(empty)} of {len(rows)} samples have no target that counts; the first is sample {empty[0] + 1}"
        raise DataError(message, hint="set a greater `max_length`, or remove rows without an answer")
    return counts


def pieces(tokens: Tensor, block: int, end: int) -> list[tuple[Tensor, Tensor]]:
    """Split a document into inputs and targets of at most `block` positions. The last target is the end token.

    >>> [(inputs.tolist(), target.tolist()) for inputs, target in pieces(torch.tensor([5, 6, 7]), 2, 0)]
    [([5, 6], [6, 7]), ([7], [0])]
    """
    targets = torch.cat([tokens[1:], tokens.new_tensor([end])])
    return list(zip(torch.split(tokens, block), torch.split(targets, block), strict=True))
