"""Continuous text for causal language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from distill_core.data import Loader, Vocabulary, with_example

from ._causal import PackedTokens, TokenSequences, check_lengths, pieces
from ._causal_tokens import causal_tokenizer, end_token, start_tokens, started, tokens_of
from ._documents import Documents, Split, read_documents, spaced, split_documents
from ._encoded import Tokenizer
from ._example import greatest_of
from ._grouped import loader_of_texts
from ._isolation import check_isolation
from ._readable import Extent, check_readable
from ._vocabularies import token_set, vocabulary_of


def _example(*, batch_size: int, block: int, positions: bool) -> dict[str, Tensor]:
    batch = example_of_tokens(batch_size, block)
    return batch | {"position_ids": batch["target"]} if positions else batch


def _check(
    name: str, model: nn.Module, inputs: Mapping[str, str], block: int, *, tokenizer: str | Tokenizer, packed: bool
) -> str:
    if packed:
        check_readable(name, model, inputs, {"input_ids": Extent(block)}, {}, "right")
        check_isolation(name, model, inputs)
    extents = {"input_ids": Extent(block, greatest_of(tokenizer))}
    return check_readable(name, model, inputs, extents, {}, "right", at_most=True)


def _vocabulary(model: nn.Module, inputs: Mapping[str, str], *, tokenizer: str | Tokenizer) -> Vocabulary | None:
    return vocabulary_of(model, inputs, {"input_ids": token_set(tokenizer)})


@with_example(_example, _check, _vocabulary)
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
    """Build a loader of continuous text, in which the target of each position is the next token.

    A document begins with the start tokens that the tokenizer itself adds. If `packed`, documents are concatenated with
    end tokens between them and split into blocks without padding. The target after an end token is ignored, because it
    belongs to another document. Attention crosses the boundary unless `positions` are fed. Otherwise each document is
    split into samples of at most `block` tokens, padded on the right to the longest of a batch.

    Args:
        documents: A text file, a folder of text files, a table, a saved dataset or texts; see `read_documents`.
        split: `train`, `val`, `test` or `all`; see `split_documents`.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Number of samples per batch.
        block: Maximum number of positions of a sample.
        packed: Fill each block with as many documents as necessary.
        positions: Add `position_ids` that restart with each document, with which models of transformers do not attend
            across documents; a model that does so nevertheless is refused. Only for packed samples.
        limit: Maximum number of samples, evenly spaced over the text. None keeps all.
        val, test, split_seed: Fractions of the documents in the validation and test splits, and the seed of the split.
        shuffle: Shuffle in each epoch. Defaults to True for `train` and `all`.
        group_by_length: Put samples of similar length into one batch. Only for samples that are not packed.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids` and `target` (batch, positions) int64 and `mask` (batch, positions) bool, which marks the
        targets that count. The others are −100.

    Raises:
        DataError: There is no text, too little for the split or one block, or the tokenizer has no end token.
    """
    loaded = causal_tokenizer(tokenizer)
    texts = split_documents(read_documents(documents), split, val=val, test=test, seed=split_seed)
    start = start_tokens(loaded)
    end, tokens = end_token(loaded), [started(text, start) for text in tokens_of(texts, loaded, cache)]
    shuffled = split in ("train", "all") if shuffle is None else shuffle
    if packed:
        blocks = PackedTokens(tokens, block, end, limit=limit, positions=positions, tokens=token_set(loaded))
        return Loader(blocks, batch_size, shuffle=shuffled, num_workers=num_workers)
    dataset = _sequences(tokens, block, limit, loaded)
    return loader_of_texts(dataset, batch_size, shuffled, num_workers, group_by_length)


def _sequences(documents: Sequence[Tensor], block: int, limit: int | None, tokenizer: Tokenizer) -> TokenSequences:
    """Return the dataset of documents split into samples of at most `block` positions."""
    check_lengths(block=block)
    samples = [piece for document in documents for piece in pieces(document, block, end_token(tokenizer))]
    inputs, targets = zip(*spaced(samples, limit), strict=True)
    padding, tokens = {"input_ids": int(tokenizer.pad_token_id or 0)}, {"input_ids": token_set(tokenizer)}
    return TokenSequences({"input_ids": inputs, "target": targets}, padding, tokens=tokens)


def example_of_tokens(batch_size: int, positions: int, prefix: str = "") -> dict[str, Tensor]:
    """Return a batch on the meta device."""
    shape = (batch_size, positions)
    return {
        f"{prefix}input_ids": torch.zeros(shape, dtype=torch.long, device="meta"),
        f"{prefix}target": torch.zeros(shape, dtype=torch.long, device="meta"),
        f"{prefix}mask": torch.zeros(shape, dtype=torch.bool, device="meta"),
        "index": torch.zeros(batch_size, dtype=torch.long, device="meta"),
    }
