"""Running text for causal language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from distill_core.data import Loader, with_example

from ._causal import PackedTokens, TokenSequences, check_lengths, pieces
from ._causal_tokens import causal_tokenizer, end_token, tokens_of
from ._documents import Documents, Split, read_documents, split_documents
from ._encoded import Tokenizer
from ._example import greatest_of
from ._grouped import LengthGroupedLoader
from ._readable import Extent, check_readable


def _example(*, batch_size: int, block: int, positions: bool) -> dict[str, Tensor]:
    batch = example_of_tokens(batch_size, block)
    return batch | {"position_ids": batch["target"]} if positions else batch


def _check(
    name: str, model: nn.Module, inputs: Mapping[str, str], block: int, *, tokenizer: str | Tokenizer, packed: bool
) -> str:
    if packed:
        check_readable(name, model, inputs, {"input_ids": Extent(block)}, {}, "right")
    extents = {"input_ids": Extent(block, greatest_of(tokenizer))}
    return check_readable(name, model, inputs, extents, {}, "right", at_most=True)


@with_example(_example, _check)
def language_modelling(
    documents: Documents,
    split: Split = "train",
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    block: int = 128,
    packed: bool = True,
    positions: bool = False,
    limit: int | None = None,
    val: float = 0.05,
    test: float = 0.05,
    split_seed: int = 0,
    shuffle: bool | None = None,
    group_by_length: bool = False,
    num_workers: int = 0,
    cache: str | Path | None = None,
) -> Loader:
    """Batches of running text: at each position the token that comes next is the target.

    Packed, the documents stand one after another with the end token between them, and blocks are cut from that: nothing
    is padding. The target after an end token does not count, for it belongs to another document; attention does reach
    over the boundary unless `positions` are fed. Otherwise a document is cut into parts of at most `block` tokens, each a sample, padded on the
    right to the longest of a batch; no attention mask is needed for that.

    Args:
        documents: What `read_documents` takes: a text file, a folder of them, a table, a saved data set; or what it gave.
        split: `train`, `val`, `test` or `all`; see `split_documents`.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Samples per batch.
        block: Positions of a sample, at most.
        packed: Fill each block with text of as many documents as it takes.
        positions: Give `position_ids` that begin anew with each document: models of transformers that are fed with them
            do not attend over the boundary. Only where samples are packed.
        limit: So many samples at most, evenly spread over the text; all if left out.
        val, test: The shares of the documents that are for validation and for the test.
        split_seed: Another number, another division.
        shuffle: A new order in each epoch; only `train` and `all` by default.
        group_by_length: Samples of about the same length share a batch; only where they are not packed.
        num_workers: Processes that read ahead.
        cache: A folder in which the tokens are kept for the next time.

    Returns:
        Batches with `input_ids` and `target` (batch, positions) int64 and `mask` (batch, positions) bool: which
        targets count. The others are −100.

    Raises:
        DataError: There is no text, it is too little to be split or to fill a block, or the tokenizer has no end token.
    """
    found = causal_tokenizer(tokenizer)
    texts = split_documents(read_documents(documents), split, val=val, test=test, seed=split_seed)
    end, tokens = end_token(found), tokens_of(texts, found, cache)
    shuffled = split in ("train", "all") if shuffle is None else shuffle
    if packed:
        blocks = PackedTokens(tokens, block, end, limit=limit, positions=positions)
        return Loader(blocks, batch_size, shuffle=shuffled, num_workers=num_workers)
    dataset = _sequences(tokens, block, end, limit, int(found.pad_token_id or 0))
    return loader_of_tokens(
        dataset, batch_size, shuffle=shuffled, num_workers=num_workers, group_by_length=group_by_length
    )


def _sequences(documents: Sequence[Tensor], block: int, end: int, limit: int | None, padding: int) -> TokenSequences:
    """Each document in parts of at most `block` positions."""
    check_lengths(block=block)
    samples = [piece for document in documents for piece in pieces(document, block, end)]
    if limit is not None and limit < len(samples):
        samples = [samples[number * len(samples) // limit] for number in range(limit)]
    inputs, targets = zip(*samples, strict=True)
    return TokenSequences({"input_ids": inputs, "target": targets}, {"input_ids": padding})


def loader_of_tokens(
    dataset: TokenSequences, batch_size: int, *, shuffle: bool, num_workers: int, group_by_length: bool
) -> Loader:
    """The loader of either kind."""
    if group_by_length:
        return LengthGroupedLoader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers)
    return Loader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers, collate=dataset.collate)


def example_of_tokens(batch_size: int, positions: int, prefix: str = "") -> dict[str, Tensor]:
    """A batch on the meta device."""
    shape = (batch_size, positions)
    return {
        f"{prefix}input_ids": torch.zeros(shape, dtype=torch.long, device="meta"),
        f"{prefix}target": torch.zeros(shape, dtype=torch.long, device="meta"),
        f"{prefix}mask": torch.zeros(shape, dtype=torch.bool, device="meta"),
        "index": torch.zeros(batch_size, dtype=torch.long, device="meta"),
    }
