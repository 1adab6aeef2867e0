"""From texts to the tokens of a causal language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from distill_core.errors import DataError

from ._encoded import Tokenizer, find_tokenizer, load_tokenizer
from ._token_cache import Tokens, kept, key_of


def tokens_of(texts: Sequence[str], tokenizer: Tokenizer, cache: str | Path | None = None) -> list[Tensor]:
    """The tokens of each text, nothing added and nothing cut, (tokens,) int32.

    Args:
        texts: At least one.
        tokenizer: Gives the tokens.
        cache: A folder in which they are kept for the next time.
    """

    def make() -> Tokens:
        rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        flat = torch.tensor([token for row in rows for token in row], dtype=torch.int32)
        return {"lengths": torch.tensor([len(row) for row in rows]), "input_ids": flat}

    # No length: texts that were cut have another key.
    key = None if cache is None else key_of([list(texts)], tokenizer, -1)
    tokens = make() if cache is None or key is None else kept(cache, key, make)
    return list(torch.split(tokens["input_ids"], tokens["lengths"].tolist()))


def causal_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """Return what `find_tokenizer` returns, if it has an end token.

    Args:
        tokenizer: The tokenizer itself, or its name or folder.

    Raises:
        DataError: There is none of that name, or it has no end token.
    """
    found = load_tokenizer(tokenizer)
    end_token(found)
    return find_tokenizer(found)


def end_token(tokenizer: Tokenizer) -> int:
    """The token that ends a text.

    Raises:
        DataError: The tokenizer has none.
    """
    end: int | None = getattr(tokenizer, "eos_token_id", None)
    if end is None:
        message = f"{type(tokenizer).__name__} has no end token\n  hint: set its eos_token"
        raise DataError(message)
    return end
