"""Prompts with completions, for causal language models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from distill_core.data import Loader, Vocabulary, with_example
from distill_core.errors import DataError

from ..tables import Rows, read_rows
from ._answers import AnsweredPrompts
from ._causal import TokenSequences, check_lengths
from ._causal_tokens import causal_tokenizer
from ._documents import Split, spaced, split_indices
from ._encoded import Tokenizer
from ._example import greatest_of
from ._grouped import loader_of_texts
from ._language_modelling import example_of_tokens
from ._readable import Extent, check_readable
from ._vocabularies import TokenSet, token_set, vocabulary_of


def _example(batch_size: int, max_length: int, max_prompt: int | None, teacher_tokenizer: Any) -> dict[str, Tensor]:
    _check_prompt(max_length, max_prompt)
    batch = example_of_tokens(batch_size, max_length)
    return batch if teacher_tokenizer is None else batch | example_of_tokens(batch_size, max_length, "teacher_")


def check_sequences(
    name: str,
    model: nn.Module,
    inputs: Mapping[str, str],
    max_length: int,
    pad_to: int | None,
    *,
    tokenizer: str | Tokenizer,
    teacher_tokenizer: str | Tokenizer | None,
) -> str:
    """Check that a model can read samples of at most `max_length` positions, or exactly `pad_to`; see `check_readable`."""
    fields = {"input_ids": tokenizer, "teacher_input_ids": teacher_tokenizer}
    if pad_to is not None:
        check_readable(name, model, inputs, {field: Extent(pad_to) for field in fields}, {}, "right")
    extents = {field: Extent(max_length, greatest_of(each)) for field, each in fields.items() if each is not None}
    return check_readable(name, model, inputs, extents, {}, "right", at_most=True)


def vocabulary_of_sequences(
    model: nn.Module,
    inputs: Mapping[str, str],
    *,
    tokenizer: str | Tokenizer,
    teacher_tokenizer: str | Tokenizer | None = None,
) -> Vocabulary | None:
    """Return the vocabulary of a model that reads samples of one tokenizer or two; see `vocabulary_of`."""
    given = {"input_ids": tokenizer, "teacher_input_ids": teacher_tokenizer}
    tokens = {field: token_set(each) for field, each in given.items() if each is not None}
    return vocabulary_of(model, inputs, tokens)


@with_example(_example, check_sequences, vocabulary_of_sequences)
def completions(
    file: Rows,
    split: Split = "all",
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    teacher_tokenizer: str | Tokenizer | None = None,
    prompt: str = "prompt",
    completion: str = "completion",
    max_length: int = 512,
    max_prompt: int | None = None,
    pad_to: int | None = None,
    limit: int | None = None,
    val: float = 0.05,
    test: float = 0.05,
    split_seed: int = 0,
    shuffle: bool | None = None,
    group_by_length: bool = False,
    num_workers: int = 0,
    cache: str | Path | None = None,
) -> Loader:
    """Build a loader of prompts with completions, in which only the completion and its end token are targets.

    A sample consists of the start tokens that the tokenizer itself adds, unless the prompt has them, the prompt, the
    completion and the end token. Batches are padded on the right, so no attention mask is needed. Tokens that
    `write_completions` wrote are the targets, and a completion that was cut has no end token. If the tokenizer does not
    decode them to the same texts, the texts are tokenised.

    Args:
        file: Rows: a table, a saved dataset, a dataset or a list; see `distill_nlp.tables.read_rows`.
        split: `train`, `val`, `test` or `all`; see `split_documents`.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Number of samples per batch.
        teacher_tokenizer: The tokenizer of a teacher with a different vocabulary.
        prompt, completion: The columns of the prompts and of the completions.
        max_length: Maximum number of positions of a sample. A truncated completion has no end token.
        max_prompt: Maximum number of prompt tokens, of which the last are kept. Defaults to half of `max_length`.
        pad_to: Number of positions in every batch, for a teacher cache. Defaults to those of the longest sample.
        limit: Maximum number of samples, evenly spaced over the rows of the split. None keeps all.
        val, test, split_seed: Fractions of the rows in the validation and test splits, and the seed of the split.
        shuffle: Shuffle in each epoch. Defaults to True for `train` and `all`.
        group_by_length: Put samples of similar length into one batch.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids`, `target`, `mask` (batch, longest), and with a teacher tokenizer the same as `teacher_…`.

    Raises:
        DataError: The rows cannot be read, a cell is not text, or a tokenizer has no end token.
    """
    _check_prompt(max_length, max_prompt)
    table = read_rows(file)
    rows = spaced(split_indices(table.num_rows, split, val=val, test=test, seed=split_seed), limit)
    answered = AnsweredPrompts.read(table, prompt, completion, rows)
    tokenizers = {"": tokenizer, "teacher_": teacher_tokenizer}
    dataset = _sequences(answered, tokenizers, max_length, max_prompt or max(1, max_length // 2), pad_to, cache)
    shuffled = split in ("train", "all") if shuffle is None else shuffle
    return loader_of_texts(dataset, batch_size, shuffled, num_workers, group_by_length)


def _sequences(
    answered: AnsweredPrompts,
    tokenizers: Mapping[str, str | Tokenizer | None],
    max_length: int,
    max_prompt: int,
    pad_to: int | None,
    cache: str | Path | None,
) -> TokenSequences:
    """Return the dataset of the rows, tokenised by one tokenizer or two."""
    fields: dict[str, list[Tensor]] = {}
    padding: dict[str, int] = {}
    tokens: dict[str, TokenSet | None] = {}
    for prefix, given in tokenizers.items():
        if given is None:
            continue
        loaded = causal_tokenizer(given)
        encoded = answered.encoded(loaded, max_length, max_prompt, cache)
        fields[f"{prefix}input_ids"], fields[f"{prefix}target"] = map(list, zip(*encoded, strict=True))
        padding[f"{prefix}input_ids"] = int(loaded.pad_token_id or 0)
        tokens[f"{prefix}input_ids"] = token_set(loaded)
    return TokenSequences(fields, padding, pad_to, tokens=tokens)


def _check_prompt(max_length: int, max_prompt: int | None) -> None:
    """Refuse lengths with which a long prompt leaves no room for its completion."""
    check_lengths(max_length=max_length, max_prompt=max_prompt)
    if max_prompt is not None and max_prompt >= max_length:
        message = f"`max_prompt` must be < `max_length` ({max_length}), got {max_prompt}"
        raise DataError(message, hint="leave room for the completions")
