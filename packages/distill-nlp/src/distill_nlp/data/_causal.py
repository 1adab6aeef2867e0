"""Samples of causal language models: at each position the token that comes next, and whether it counts.

`input_ids`, `target` and `mask` have one shape: `target[i]` is the token after `input_ids[i]`, −100 where it does not
count, and `mask` says where it does. So logits and targets stand at the same place, and nobody shifts anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from distill_core.data import TensorData
from distill_core.errors import DataError

from ._readable import check_readable, extents_of

IGNORED = -100
"""The target of a position that does not count."""


def check_lengths(**lengths: int | None) -> None:
    """Refuse numbers of tokens below 1.

    Raises:
        DataError: One is.
    """
    for name, length in lengths.items():
        if length is not None and length < 1:
            message = f"`{name}` must be >= 1, got {length}"
            raise DataError(message)


@final
class PackedTokens(TensorData):
    """Documents one after another, cut into blocks of one length: nothing is padding.

    After each document stands the end token. What follows it belongs to another document, so that target does not
    count; attention does reach back over the boundary, as in GPT-2's own training, unless a model is fed with
    `position_ids`, which begin anew with each document. The rest that fills no block is left out.

    Args:
        documents: The tokens of each document, (tokens,).
        block: How many positions a block has.
        end: The token that ends a document.
        limit: So many blocks at most, evenly spread over the text; all if left out.
        positions: Give `position_ids`, too: models of transformers then keep the documents of a block apart.

    Attributes:
        num_tokens: (blocks,) int64, how many targets of each count.

    Raises:
        DataError: `block` is below 1, or all documents together do not fill a block.
    """

    def __init__(
        self,
        documents: Sequence[Tensor],
        block: int,
        end: int,
        *,
        limit: int | None = None,
        positions: bool = False,
    ) -> None:
        check_lengths(block=block)
        ends = torch.tensor([end], dtype=torch.int32)
        stream = torch.cat([part for tokens in documents for part in (tokens.to(torch.int32), ends)])
        number = (len(stream) - 1) // block
        if number < 1:
            message = f"the texts have {len(stream)} tokens, which fill no block of {block}\n  hint: a smaller `block`"
            raise DataError(message)
        last = torch.tensor([len(tokens) + 1 for tokens in documents]).cumsum(0) - 1
        targets = stream.roll(-1)
        targets[last] = IGNORED  # an end token within a document is text
        fields = {"input_ids": stream, "target": targets}
        if positions:
            fields["position_ids"] = _positions(last, len(stream), block)
        cut = {name: tensor[: number * block].view(number, block) for name, tensor in fields.items()}
        if limit is not None and limit < number:
            chosen = torch.arange(limit) * number // limit
            cut = {name: tensor[chosen] for name, tensor in cut.items()}
        super().__init__(cut)
        self.num_tokens = (self.tensors["target"] != IGNORED).sum(1)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        check_readable(name, model, inputs, extents_of(self.tensors, inputs), {}, "right")

    def batch(self, indices: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """`input_ids`, `target` and perhaps `position_ids` (batch, block) int64, and `mask` (batch, block) bool."""
        fields = {name: tensor.long() for name, tensor in super().batch(indices, seeds).items()}
        return fields | {"mask": fields["target"] != IGNORED}


@final
class TokenSequences:
    """Sequences of different lengths; a batch is padded on the right, where no causal model looks back at it.

    Args:
        fields: `input_ids` and `target`, one pair of tensors (tokens,) a sample; others of the same kind may stand beside
            them, `teacher_input_ids` and `teacher_target` for example.
        padding: Field of input tokens → the token that fills it up.
        pad_to: So many positions in every batch; as many as the longest sample has if left out.

    Attributes:
        lengths: (samples,) int64, how many positions each has.
        num_tokens: (samples,) int64, how many targets of each count.
    """

    def __init__(
        self, fields: Mapping[str, Sequence[Tensor]], padding: Mapping[str, int], pad_to: int | None = None
    ) -> None:
        self.fields = dict(fields)
        self.collate = CausalCollate(padding, pad_to)
        self.lengths = torch.tensor([len(row) for row in self.fields["input_ids"]])
        self.num_tokens = torch.stack([(row != IGNORED).sum() for row in self.fields["target"]])

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        extents = {
            field: replace(extent, longest=max(extent.longest, self.collate.pad_to or 0))
            for field, extent in extents_of(self.fields, inputs).items()
        }
        check_readable(name, model, inputs, extents, self.collate.padding, "right")

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sample, not padded."""
        return {name: rows[index] for name, rows in self.fields.items()}


@final
class CausalCollate:
    """Pads each field to the longest of the batch, and adds a mask of the targets that count.

    Args:
        padding: Field of input tokens → the token that fills it up; the fields of targets are filled up with −100.
        pad_to: So many positions always: for a teacher's cache, which keeps what follows from a sample alone.

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
        """The batch of the samples, (batch, longest) per field."""
        batch = {name: self._padded(name, [sample[name].long() for sample in samples]) for name in samples[0]}
        masks = {name.replace("target", "mask"): batch[name] != IGNORED for name in batch if name.endswith("target")}
        return batch | masks

    def _padded(self, name: str, rows: list[Tensor]) -> Tensor:
        filler = self.padding.get(name, IGNORED)
        if self.pad_to is not None and len(rows[0]) < self.pad_to:
            rows[0] = F.pad(rows[0], (0, self.pad_to - len(rows[0])), value=filler)
        return pad_sequence(rows, batch_first=True, padding_value=filler)


def _positions(last: Tensor, count: int, block: int) -> Tensor:
    """How far each token stands from the beginning of its document or its block, whichever is nearer, (count,) int32."""
    place = torch.arange(count)
    begins = torch.zeros(count, dtype=torch.long)
    first = last[:-1] + 1
    begins[first] = first
    return (place - torch.maximum(begins.cummax(0).values, place - place % block)).to(torch.int32)


def pieces(tokens: Tensor, block: int, end: int) -> list[tuple[Tensor, Tensor]]:
    """A document's inputs and targets, the end token last, in parts of at most `block` positions.

    >>> [(inputs.tolist(), target.tolist()) for inputs, target in pieces(torch.tensor([5, 6, 7]), 2, 0)]
    [([5, 6], [6, 7]), ([7], [0])]
    """
    targets = torch.cat([tokens[1:], tokens.new_tensor([end])])
    return list(zip(torch.split(tokens, block), torch.split(targets, block), strict=True))
