"""Tokenisation for causal language models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from distill_core.errors import DataError

from .._encoded import Tokenizer, find_tokenizer, load_tokenizer
from .._token_batches import batches_of, flat_tokens
from .._token_cache import Tokens, cached_tokens, key_of


def tokens_of(texts: Sequence[str], tokenizer: Tokenizer, cache: str | Path | None = None) -> list[Tensor]:
    """Return the tokens of each text, without special tokens and truncation, (tokens,) int32.

    Args:
        texts: At least one text.
        tokenizer: The tokenizer.
        cache: A folder that caches the tokens.
    """

    def tokenise() -> Tokens:
        batches = (tokenizer(batch, add_special_tokens=False) for (batch,) in batches_of([texts]))
        return flat_tokens({"input_ids": batch["input_ids"]} for batch in batches)

    # The length −1 stands for no truncation.
    key = None if cache is None else key_of([list(texts)], tokenizer, -1)
    tokens = tokenise() if cache is None or key is None else cached_tokens(cache, key, tokenise)
    return list(torch.split(tokens["input_ids"], tokens["lengths"].tolist()))


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
