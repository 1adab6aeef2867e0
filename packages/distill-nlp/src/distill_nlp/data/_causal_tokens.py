"""Tokenisation for causal language models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from distill_core.errors import DataError

from ._encoded import Tokenizer, find_tokenizer, load_tokenizer
from ._token_cache import Tokens, cached_tokens, key_of


def tokens_of(texts: Sequence[str], tokenizer: Tokenizer, cache: str | Path | None = None) -> list[Tensor]:
    """Return the tokens of each text, without special tokens and truncation, (tokens,) int32.

    Args:
        texts: At least one text.
        tokenizer: The tokenizer.
        cache: A folder that caches the tokens.
    """

    def tokenise() -> Tokens:
        rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        flat = torch.tensor([token for row in rows for token in row], dtype=torch.int32)
        return {"lengths": torch.tensor([len(row) for row in rows]), "input_ids": flat}

    # The length −1 stands for no truncation.
    key = None if cache is None else key_of([list(texts)], tokenizer, -1)
    tokens = tokenise() if cache is None or key is None else cached_tokens(cache, key, tokenise)
    return list(torch.split(tokens["input_ids"], tokens["lengths"].tolist()))


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
