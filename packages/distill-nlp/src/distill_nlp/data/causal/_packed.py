"""Blocks of equal length for causal language models: concatenated documents, or samples packed by best fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from distill_core.data import TensorData, Vocabulary
from distill_core.errors import DataError

from ..._ignored import IGNORED
from .._documents import spaced
from .._isolation import check_isolation, require_positions
from .._readable import check_readable, extents_of
from .._vocabularies import TokenSet, vocabulary_of
from ._best_fit import best_fit
from ._prompts import CompletesPrompts
from ._samples import check_lengths, num_counted

logger = logging.getLogger("distill")


class TokenBlocks(CompletesPrompts, TensorData):
    """Blocks of tokens, all of the same length.

    Args:
        fields: `input_ids`, `target` and optionally `position_ids`, each (blocks, block).
        tokens: The tokens of the tokenizer.

    Attributes:
        num_tokens: (blocks,) int64, number of targets that count.
    """

    is_fixed = True

    def __init__(self, fields: Mapping[str, Tensor], tokens: TokenSet | None) -> None:
        super().__init__(fields)
        self.tokens = tokens
        self.num_tokens = (self.tensors["target"] != IGNORED).sum(1)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        check_readable(name, model, inputs, extents_of(self.tensors, inputs), {}, "right")
        check_isolation(name, model, inputs)

    def vocabulary_of(self, model: nn.Module, inputs: Mapping[str, str]) -> Vocabulary | None:
        """Return the vocabulary of a model that reads these texts."""
        return vocabulary_of(model, inputs, {"input_ids": self.tokens})

    def batch(self, indices: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Return `input_ids`, `target` and optionally `position_ids` (batch, block) int64, and `mask` (batch, block) bool."""
        fields = {name: tensor.long() for name, tensor in super().batch(indices, seeds).items()}
        return fields | {"mask": fields["target"] != IGNORED}


@final
class PackedTokens(TokenBlocks):
    """Concatenated documents, split into blocks of equal length without padding.

    An end token follows each document. The target after it is ignored, because it belongs to another document. As in the
    training of GPT-2, attention crosses the boundary, unless the model receives `position_ids`, which restart with each
    document. The remainder that does not fill a block is dropped.

    Args:
        documents: The tokens of each document, (tokens,).
        block: Number of positions in a block.
        end: The end token.
        limit: Maximum number of blocks, evenly spaced over the text. None keeps all.
        positions: Add `position_ids`, with which models of transformers do not attend across documents. A model that
            does so nevertheless is refused.
        tokens: The tokens of the tokenizer.

    Attributes:
        num_tokens: (blocks,) int64, number of targets that count.

    Raises:
        DataError: `block` is below 1, or the documents do not fill one block.
    """

    def __init__(
        self,
        documents: Sequence[Tensor],
        block: int,
        end: int,
        *,
        limit: int | None = None,
        positions: bool = False,
        tokens: TokenSet | None = None,
    ) -> None:
        check_lengths(block=block)
        ends = torch.tensor([end], dtype=torch.int32)
        stream = torch.cat([piece for tokens in documents for piece in (tokens.to(torch.int32), ends)])
        num_blocks = (len(stream) - 1) // block
        if num_blocks < 1:
            message = f"the texts have {len(stream)} tokens, too few for one block of {block}"
            raise DataError(message, hint="set a smaller `block`")
        last = torch.tensor([len(tokens) + 1 for tokens in documents]).cumsum(0) - 1
        targets = stream.roll(-1)
        targets[last] = IGNORED  # an end token within a document is text
        fields = {"input_ids": stream, "target": targets}
        if positions:
            fields["position_ids"] = _positions(documents, len(stream), block)
        cut = {name: tensor[: num_blocks * block].view(num_blocks, block) for name, tensor in fields.items()}
        if limit is not None and limit < num_blocks:
            chosen = torch.arange(limit) * num_blocks // limit
            cut = {name: tensor[chosen] for name, tensor in cut.items()}
        super().__init__(cut, tokens)


@final
class PackedSamples(TokenBlocks):
    """Samples packed by best fit: each block has as many as fit, none is cut, and the rest of a block is padding.

    `position_ids` restart with each sample, and models of transformers do not attend across samples. So a block gives the
    losses of its samples alone. A model that is not fed with `position_ids`, or attends across samples, is refused.

    Args:
        inputs, targets: The input tokens and targets of each sample, (tokens,).
        block: Number of positions in a block.
        padding: The padding token.
        limit: Maximum number of blocks, evenly spaced. None keeps all.
        tokens: The tokens of the tokenizer.

    Attributes:
        share: The fraction of positions that are not padding.

    Raises:
        DataError: A sample is longer than a block, or has no target that counts.
    """

    def __init__(
        self,
        inputs: Sequence[Tensor],
        targets: Sequence[Tensor],
        block: int,
        padding: int,
        *,
        limit: int | None = None,
        tokens: TokenSet | None = None,
    ) -> None:
        check_lengths(block=block)
        num_counted(targets)
        blocks = spaced(best_fit([len(row) for row in inputs], block), limit)
        chosen = [sample for samples in blocks for sample in samples]
        lengths = torch.tensor([len(inputs[sample]) for sample in chosen])
        rows = torch.arange(len(blocks)).repeat_interleave(torch.tensor([len(samples) for samples in blocks]))
        used = torch.zeros(len(blocks), dtype=torch.long).index_add(0, rows, lengths)
        within = torch.arange(int(lengths.sum())) - (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        before = lengths.cumsum(0) - lengths - (used.cumsum(0) - used)[rows]  # tokens before a sample in its block
        where = (rows * block + before).repeat_interleave(lengths) + within
        empty = torch.arange(block) - used[:, None]  # padding has positions of its own, like another sample
        fields = {
            "input_ids": _filled(torch.full_like(empty, padding), where, [inputs[sample] for sample in chosen]),
            "target": _filled(torch.full_like(empty, IGNORED), where, [targets[sample] for sample in chosen]),
            "position_ids": _filled(empty, where, [within]),
        }
        super().__init__(fields, tokens)
        self.share = int(lengths.sum()) / (len(blocks) * block)
        text = "%d samples are packed into %d blocks of %d positions, of which %.1f%% are tokens and the others padding"
        logger.info(text, len(chosen), len(blocks), block, 100 * self.share)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts, or would attend across samples."""
        require_positions(name, model, inputs)
        super().check_model(name, model, inputs)

    def summary(self) -> dict[str, float]:
        """Return the number of blocks and the fraction of positions that are not padding."""
        return {"blocks": len(self), "share_of_tokens": self.share}


def _filled(blocks: Tensor, where: Tensor, pieces: Sequence[Tensor]) -> Tensor:
    """Write the pieces, one after the other, to the indices `where` of flat blocks, and return these as int32."""
    blocks = blocks.to(torch.int32)
    blocks.view(-1)[where] = torch.cat([piece.to(torch.int32) for piece in pieces])
    return blocks


def _positions(documents: Sequence[Tensor], count: int, block: int) -> Tensor:
    """Return the distance of each token to the start of its document or block, whichever is nearer, (count,) int32."""
    lengths = torch.tensor([len(tokens) + 1 for tokens in documents])
    starts = (lengths.cumsum(0) - lengths).to(torch.int32).repeat_interleave(lengths)
    index = torch.arange(count, dtype=torch.int32)
    return index - torch.maximum(starts, (index // block).mul_(block))
