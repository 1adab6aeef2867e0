"""Tokenisation for causal language models."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from distill_core.errors import DataError

from .._encoded import Tokenizer, find_tokenizer, load_tokenizer
from .._token_cache import Tokens, cached_tokens, key_of

_BATCH_CHARACTERS = 1 << 20
"""Number of characters after which a batch of texts is complete. A fast tokenizer takes some 40 bytes for each."""


def tokens_of(texts: Sequence[str], tokenizer: Tokenizer, cache: str | Path | None = None) -> list[Tensor]:
    """Return the tokens of each text, without special tokens and truncation, (tokens,) int32.

    Args:
        texts: At least one text.
        tokenizer: The tokenizer.
        cache: A folder that caches the tokens.
    """

    def tokenise() -> Tokens:
        return flat_tokens(tokenizer(batch, add_special_tokens=False)["input_ids"] for batch in batches_of(texts))

    # The length −1 stands for no truncation.
    key = None if cache is None else key_of([list(texts)], tokenizer, -1)
    tokens = tokenise() if cache is None or key is None else cached_tokens(cache, key, tokenise)
    return list(torch.split(tokens["input_ids"], tokens["lengths"].tolist()))


def batches_of(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield texts in order, in batches of limited size, so that a tokenizer's Python lists take a bounded memory.

    >>> [len(batch) for batch in batches_of(["a" * 300_000] * 5)]
    [4, 1]
    """
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def flat_tokens(batches: Iterable[Sequence[Sequence[int]]]) -> Tokens:
    """Return the tokens of all texts, concatenated, as `input_ids` int32, and the `lengths` of the texts."""
    flat = array("i")
    lengths: list[int] = []
    for rows in batches:
        for row in rows:
            flat.extend(row)
            lengths.append(len(row))
    tokens = torch.frombuffer(flat, dtype=torch.int32) if flat else torch.empty(0, dtype=torch.int32)
    return {"lengths": torch.tensor(lengths, dtype=torch.long), "input_ids": tokens}


def start_tokens(tokenizer: Tokenizer) -> Tensor:
    """Return the special tokens that the tokenizer itself adds at the start of a text, such as Llama's begin token.

    A tokenizer may have a begin token that it does not add, as those of Qwen and SmolLM2.
    """
    plain, full = (tokenizer("a", add_special_tokens=added)["input_ids"] for added in (False, True))
    offsets = (index for index in range(len(full)) if full[index : index + len(plain)] == plain)
    return torch.tensor(full[: next(offsets, 0)], dtype=torch.int32)


def started(text: Tensor, start: Tensor, longest: int | None = None) -> Tensor:
    """Return the tokens of a text with its start tokens, exactly once: a chat template may have written them.

    Args:
        text: The tokens of the text, (tokens,).
        start: The start tokens; see `start_tokens`.
        longest: Number of tokens to keep after the start tokens, from the end of the text. None keeps all.

    >>> started(torch.tensor([5, 6, 7]), torch.tensor([1]), 2).tolist(), started(torch.tensor([1, 5]), torch.tensor([1])).tolist()
    ([1, 6, 7], [1, 5])
    """
    has_start = len(start) > 0 and torch.equal(text[: len(start)], start)
    rest = text[len(start) :] if has_start else text
    kept = rest if longest is None else rest[max(0, len(rest) - longest) :]
    return torch.cat([start, kept]) if len(start) > 0 else kept


def prompt_tokens(text: Tensor, tokenizer: Tokenizer, start: Tensor, max_prompt: int) -> Tensor:
    """Return the tokens of a prompt, `started`. An empty prompt is the begin or end token, because models need an input."""
    tokens = started(text, start, max_prompt)
    if len(tokens) > 0:
        return tokens
    begin = getattr(tokenizer, "bos_token_id", None)
    return tokens.new_tensor([end_token(tokenizer) if begin is None else begin])


def causal_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """Return a tokenizer that has an end token and a padding token; see `find_tokenizer`.

    Args:
        tokenizer: The tokenizer itself, or its name or folder.

    Raises:
        DataError: No tokenizer has that name, or it has no end token.
    """
    loaded = load_tokenizer(tokenizer)
    end_token(loaded)
    return find_tokenizer(loaded)


def end_token(tokenizer: Tokenizer) -> int:
    """Return the end token.

    Raises:
        DataError: The tokenizer has none.
    """
    end: int | None = getattr(tokenizer, "eos_token_id", None)
    if end is None:
        message = f"{type(tokenizer).__name__} has no end token"
        raise DataError(message, hint="set its eos_token")
    return end
