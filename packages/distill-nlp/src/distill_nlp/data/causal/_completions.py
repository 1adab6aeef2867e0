"""Prompts with completions, for causal language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ...tables import Rows, Table, check_columns
from .._documents import Split
from .._encoded import Tokenizer
from ._answers import AnsweredPrompts
from ._causal_tokens import causal_tokenizer
from ._prompts import PromptFormat
from ._row_loader import Selection, loader_of_rows
from ._samples import check_lengths, num_counted
from ._sequences import Layout, check_sequences, example_of_sequences, vocabulary_of_sequences


def _example(
    file: Rows,
    prompt: str,
    completion: str,
    batch_size: int,
    max_length: int,
    max_prompt: int | None,
    packed: bool,
    pad_to: int | None,
    group_by_length: bool,
    teacher_tokenizer: Any,
) -> dict[str, Tensor]:
    check_columns(file, [prompt, completion])
    _check_options(max_length, max_prompt, packed, teacher_tokenizer)
    return example_of_sequences(batch_size, max_length, packed, pad_to, group_by_length, teacher_tokenizer)


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
    packed: bool = False,
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
        file: Rows: a table, a saved dataset, a dataset or a list; see `distill_nlp.tables.read_rows`. Or a stream of rows, an
            `IterableDataset`, for a stage of `steps`.
        split: `train`, `val`, `test` or `all`; see `split_documents`.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Number of samples per batch.
        teacher_tokenizer: The tokenizer of a teacher with a different vocabulary.
        prompt, completion: The columns of the prompts and of the completions.
        max_length: Maximum number of positions of a sample. A truncated completion has no end token.
        max_prompt: Maximum number of prompt tokens, of which the last are kept. Defaults to half of `max_length`.
        packed: Pack samples into blocks of `max_length` positions; see `PackedSamples`. Feed models with `position_ids`.
        pad_to: Number of positions in every batch, for a teacher cache. Defaults to those of the longest sample.
        limit: Maximum number of samples, evenly spaced over the rows of the split. None keeps all.
        val, test, split_seed: Fractions of the rows in the validation and test splits, and the seed of the split.
        shuffle: Shuffle in each epoch. Defaults to True for `train` and `all`.
        group_by_length: Put samples of similar length into one batch.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids`, `target`, `mask` (batch, longest), `position_ids` if packed, and `teacher_…` if given.

    Raises:
        DataError: The rows cannot be read, a cell is not text, or a tokenizer has no end token.
    """
    _check_options(max_length, max_prompt, packed, teacher_tokenizer)
    layout = Layout(max_length=max_length, packed=packed, pad_to=pad_to, group_by_length=group_by_length)
    chosen = Selection(split=split, limit=limit, val=val, test=test, seed=split_seed, shuffle=shuffle)
    lengths = max_length, max_prompt or max(1, max_length // 2)
    encoder = _Completions(_loaded(tokenizer, teacher_tokenizer), (prompt, completion), lengths, cache)
    return loader_of_rows(file, encoder, layout, chosen, batch_size, num_workers)


def _loaded(tokenizer: str | Tokenizer, teacher: str | Tokenizer | None) -> dict[str, Tokenizer]:
    """Return the tokenizers by the prefix of their fields."""
    given = {"": tokenizer, "teacher_": teacher}
    return {prefix: causal_tokenizer(each) for prefix, each in given.items() if each is not None}


@dataclass(frozen=True)
class _Completions:
    """The encoder of prompts with completions.

    Attributes:
        tokenizers: Prefix of fields → tokenizer.
        columns: The columns of the prompts and of the completions.
        lengths: Maximum number of positions of a sample, and of tokens of a prompt.
        cache: A folder that caches the tokens.
    """

    tokenizers: Mapping[str, Tokenizer]
    columns: tuple[str, str]
    lengths: tuple[int, int]
    cache: str | Path | None

    @property
    def prompts(self) -> PromptFormat:
        """The format of prompts."""
        return PromptFormat(self.tokenizers[""], self.columns[0], self.lengths[1])

    @property
    def needs_rows(self) -> dict[str, bool]:
        """The options that need all rows."""
        return {"cache": self.cache is not None}

    def samples(self, table: Table, rows: Sequence[int]) -> list[Mapping[str, Tensor]]:
        """Return the sample of each row, tokenised by one tokenizer or two.

        Raises:
            DataError: A cell is not text, or a sample has no target that counts.
        """
        answered = AnsweredPrompts.read(table, *self.columns, rows)
        found: list[dict[str, Tensor]] = [{} for _ in rows]
        for prefix, tokenizer in self.tokenizers.items():
            encoded = answered.encoded(tokenizer, *self.lengths, self.cache)
            num_counted([target for _, target in encoded])
            for sample, (tokens, target) in zip(found, encoded, strict=True):
                sample |= {f"{prefix}input_ids": tokens, f"{prefix}target": target}
        return [*found]


def _check_options(max_length: int, max_prompt: int | None, packed: bool, teacher_tokenizer: Any) -> None:
    """Refuse lengths with which a long prompt leaves no room for its completion, and packing for two tokenizers."""
    check_lengths(max_length=max_length, max_prompt=max_prompt)
    if packed and teacher_tokenizer is not None:
        message = "`packed` and `teacher_tokenizer` cannot be combined: a sample has two lengths"
        raise DataError(message, hint="omit one of them")
    if max_prompt is not None and max_prompt >= max_length:
        message = f"`max_prompt` must be < `max_length` ({max_length}), got {max_prompt}"
        raise DataError(message, hint="leave room for the completions")
