"""Continuous text for causal language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from distill_core.data import Loader, Vocabulary, with_example
from distill_core.errors import DataError
from distill_core.layers import one_of

from .._documents import Documents, Split, read_documents, spaced, split_documents
from .._encoded import Tokenizer
from .._example import example_of_tokens, greatest_of
from .._grouped import loader_of_texts
from .._isolation import check_isolation, require_positions
from .._readable import Extent, check_readable
from .._vocabularies import token_set, vocabulary_of
from ._causal_tokens import causal_tokenizer, end_token, start_tokens, started, tokens_of
from ._packed import PackedSamples, PackedTokens, TokenBlocks
from ._prompts import PromptFormat
from ._samples import TokenSequences, check_lengths, pieces

Packing = Literal["concatenate", "best_fit"]


def _example(
    *, batch_size: int, block: int, packed: bool, packing: Packing, positions: bool, group_by_length: bool
) -> dict[str, Tensor]:
    _check_options(packed, packing, positions, group_by_length)
    batch = example_of_tokens(batch_size, block)
    has_positions = positions or packing == "best_fit"
    return batch | {"position_ids": batch["target"]} if has_positions else batch


def _check_options(packed: bool, packing: Packing, positions: bool, group_by_length: bool) -> None:
    """Refuse options that have no effect."""
    one_of("packing", packing, Packing)
    given = {"packing": packing != "concatenate", "positions": positions}
    if wrong := [name for name, is_given in given.items() if is_given and not packed]:
        message = f"`{wrong[0]}` is for packed samples, and `packed` is false"
        raise DataError(message, hint=f"omit `{wrong[0]}`")
    if packed and group_by_length:
        message = "`group_by_length` is for samples that are not packed: blocks have one length"
        raise DataError(message, hint="omit it, or set `packed: false`")


def _check(
    name: str,
    model: nn.Module,
    inputs: Mapping[str, str],
    block: int,
    *,
    tokenizer: str | Tokenizer,
    packed: bool,
    packing: Packing,
) -> str:
    if packing == "best_fit":
        require_positions(name, model, inputs)
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
    packing: Packing = "concatenate",
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
    split into samples of at most `block` tokens, padded on the right.

    Args:
        documents: A text file, a folder of text files, a table, a saved dataset or texts; see `read_documents`.
        split: `train`, `val`, `test` or `all`; see `split_documents`.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Number of samples per batch.
        block: Maximum number of positions of a sample.
        packed: Fill each block with several documents.
        packing: `concatenate` cuts documents at the ends of blocks, `best_fit` only those that are longer than a block; see
            `PackedTokens` and `PackedSamples`. With `best_fit`, feed models with `position_ids`.
        positions: Add `position_ids` that restart with each document, with which models of transformers do not attend
            across documents; a model that does so nevertheless is refused.
        limit: Maximum number of samples, evenly spaced over the text. None keeps all.
        val, test, split_seed: Fractions of the documents in the validation and test splits, and the seed of the split.
        shuffle: Shuffle in each epoch. Defaults to True for `train` and `all`.
        group_by_length: Put samples of similar length into one batch. Only for samples that are not packed.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids`, `target` and `mask`, which targets count, (batch, positions). Other targets are −100.

    Raises:
        DataError: There is no text, too little for the split or one block, or the tokenizer has no end token.
    """
    _check_options(packed, packing, positions, group_by_length)
    loaded = causal_tokenizer(tokenizer)
    texts = split_documents(read_documents(documents), split, val=val, test=test, seed=split_seed)
    tokens = _tokens(texts, loaded, cache)
    shuffled = split in ("train", "all") if shuffle is None else shuffle
    if packed:
        blocks = _blocks(tokens, block, limit, loaded, packing, positions)
        return Loader(blocks, batch_size, shuffle=shuffled, num_workers=num_workers)
    dataset = _sequences(tokens, block, limit, loaded)
    return loader_of_texts(dataset, batch_size, shuffled, num_workers, group_by_length)


def _tokens(texts: Sequence[str], tokenizer: Tokenizer, cache: str | Path | None) -> list[Tensor]:
    """Return the tokens of each document with its start tokens."""
    start = start_tokens(tokenizer)
    return [started(text, start) for text in tokens_of(texts, tokenizer, cache)]


def _blocks(
    documents: Sequence[Tensor], block: int, limit: int | None, tokenizer: Tokenizer, packing: Packing, positions: bool
) -> TokenBlocks:
    end, known = end_token(tokenizer), token_set(tokenizer)
    blocks: TokenBlocks
    if packing == "concatenate":
        blocks = PackedTokens(documents, block, end, limit=limit, positions=positions, tokens=known)
    else:
        inputs, targets = _samples(documents, block, end)
        padding = int(tokenizer.pad_token_id or 0)
        blocks = PackedSamples(inputs, targets, block, padding, limit=limit, tokens=known)
    blocks.prompts = PromptFormat(tokenizer, "text", block)
    return blocks


def _sequences(documents: Sequence[Tensor], block: int, limit: int | None, tokenizer: Tokenizer) -> TokenSequences:
    """Return the dataset of documents split into samples of at most `block` positions."""
    inputs, targets = (spaced(rows, limit) for rows in _samples(documents, block, end_token(tokenizer)))
    padding, tokens = {"input_ids": int(tokenizer.pad_token_id or 0)}, {"input_ids": token_set(tokenizer)}
    dataset = TokenSequences({"input_ids": inputs, "target": targets}, padding, tokens=tokens)
    dataset.prompts = PromptFormat(tokenizer, "text", block)
    return dataset


def _samples(documents: Sequence[Tensor], block: int, end: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return the inputs and targets of documents split into samples of at most `block` positions."""
    check_lengths(block=block)
    samples = [piece for document in documents for piece in pieces(document, block, end)]
    return [inputs for inputs, _ in samples], [targets for _, targets in samples]
