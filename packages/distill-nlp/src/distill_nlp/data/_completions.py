"""Prompts with completions, for causal language models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_core.data import Loader, with_example

from .._ignored import IGNORED
from ._causal import TokenSequences, check_lengths
from ._causal_tokens import causal_tokenizer, end_token, tokens_of
from ._documents import Split, split_indices
from ._encoded import Tokenizer
from ._example import greatest_of
from ._grouped import loader_of_texts
from ._language_modelling import example_of_tokens
from ._read_table import read_table
from ._readable import Extent, check_readable


def _example(batch_size: int, max_length: int, teacher_tokenizer: Any) -> dict[str, Tensor]:
    batch = example_of_tokens(batch_size, max_length)
    return batch if teacher_tokenizer is None else batch | example_of_tokens(batch_size, max_length, "teacher_")


def _check(
    name: str,
    model: nn.Module,
    inputs: Mapping[str, str],
    max_length: int,
    pad_to: int | None,
    *,
    tokenizer: str | Tokenizer,
    teacher_tokenizer: str | Tokenizer | None,
) -> str:
    fields = {"input_ids": tokenizer, "teacher_input_ids": teacher_tokenizer}
    if pad_to is not None:
        check_readable(name, model, inputs, {field: Extent(pad_to) for field in fields}, {}, "right")
    extents = {field: Extent(max_length, greatest_of(each)) for field, each in fields.items() if each is not None}
    return check_readable(name, model, inputs, extents, {}, "right", at_most=True)


@with_example(_example, _check)
def completions(
    file: str | Path,
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
    val: float = 0.05,
    test: float = 0.05,
    split_seed: int = 0,
    shuffle: bool | None = None,
    group_by_length: bool = False,
    num_workers: int = 0,
    cache: str | Path | None = None,
) -> Loader:
    """Build a loader of prompts with completions, in which only the completion and its end token are targets.

    A sample consists of the tokenizer's begin token, if it has one, the prompt, the completion and the end token. Batches
    are padded on the right, so no attention mask is needed.

    Args:
        file: A `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` file.
        split: `train`, `val`, `test` or `all`; see `split_documents`.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Number of samples per batch.
        teacher_tokenizer: The tokenizer of a teacher with a different vocabulary.
        prompt: The column of the prompts.
        completion: The column of the completions.
        max_length: Maximum number of positions of a sample. A truncated completion has no end token.
        max_prompt: Maximum number of prompt tokens, of which the last are kept. Defaults to half of `max_length`.
        pad_to: Number of positions in every batch, for a teacher cache. Defaults to those of the longest sample.
        val, test: Fractions of the rows in the validation and test splits.
        split_seed: Seed of the split.
        shuffle: Shuffle in each epoch. Defaults to True for `train` and `all`.
        group_by_length: Put samples of similar length into one batch.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids` and `target` (batch, longest) int64 and `mask` (batch, longest) bool, which marks the
        targets that count. With a teacher tokenizer also `teacher_input_ids`, `teacher_target` and `teacher_mask`.

    Raises:
        DataError: The file or a column does not exist, or a tokenizer has no end token.
    """
    check_lengths(max_length=max_length, max_prompt=max_prompt)
    table = read_table(file)
    rows = split_indices(table.num_rows, split, val=val, test=test, seed=split_seed)
    texts = [[column[row] for row in rows] for column in map(table.texts, (prompt, completion))]
    tokenizers = {"": tokenizer} if teacher_tokenizer is None else {"": tokenizer, "teacher_": teacher_tokenizer}
    dataset = _sequences(texts, tokenizers, max_length, max_prompt or max(1, max_length // 2), pad_to, cache)
    shuffled = split in ("train", "all") if shuffle is None else shuffle
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffled, num_workers=num_workers, group_by_length=group_by_length
    )


def _sequences(
    texts: list[list[str]],
    tokenizers: Mapping[str, str | Tokenizer],
    max_length: int,
    max_prompt: int,
    pad_to: int | None,
    cache: str | Path | None,
) -> TokenSequences:
    """Return the dataset of the texts, tokenised by one tokenizer or two."""
    fields: dict[str, list[Tensor]] = {}
    padding: dict[str, int] = {}
    for prefix, given in tokenizers.items():
        loaded = causal_tokenizer(given)
        encoded = _encoded(texts, loaded, max_length, max_prompt, cache)
        fields[f"{prefix}input_ids"], fields[f"{prefix}target"] = map(list, zip(*encoded, strict=True))
        padding[f"{prefix}input_ids"] = int(loaded.pad_token_id or 0)
    return TokenSequences(fields, padding, pad_to)


def _encoded(
    texts: list[list[str]], tokenizer: Tokenizer, max_length: int, max_prompt: int, cache: str | Path | None
) -> list[tuple[Tensor, Tensor]]:
    """Return the inputs and targets of each row."""
    begin: int | None = getattr(tokenizer, "bos_token_id", None)
    first = torch.tensor([] if begin is None else [begin], dtype=torch.int32)
    end = torch.tensor([end_token(tokenizer)], dtype=torch.int32)
    prompts, answers = (tokens_of(column, tokenizer, cache) for column in texts)
    encoded = []
    for prompt, answer in zip(prompts, answers, strict=True):
        start = torch.cat([first, prompt[-max_prompt:]])
        start = end if len(start) == 0 else start  # an empty prompt still needs one input token
        tokens = torch.cat([start, answer, end])[: max_length + 1]
        target = tokens[1:].clone()
        target[: len(start) - 1] = IGNORED
        encoded.append((tokens[:-1], target))
    return encoded
