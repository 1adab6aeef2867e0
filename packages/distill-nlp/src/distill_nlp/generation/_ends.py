"""End tokens of generated text, and the tokens that it consists of."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import torch
from torch import nn

from ..data import Tokenizer, causal_tokenizer


def end_tokens(model: nn.Module, tokenizer: str | Tokenizer) -> tuple[int, ...]:
    """Return the end tokens: the tokenizer's, followed by those of the model's `generation_config`.

    Chat models have several, for example `<|end_of_text|>` and `<|eot_id|>` of Llama 3. An end token that is only the
    default of the model's configuration class is omitted. On the meta device no tokenizer is loaded.

    Args:
        model: A causal language model of transformers.
        tokenizer: A tokenizer of transformers, or its name or folder.

    Raises:
        DataError: The tokenizer has no end token.
    """
    own = 0 if _is_meta(tokenizer) else int(causal_tokenizer(tokenizer).eos_token_id)  # type: ignore[attr-defined]
    generation: Any = getattr(model, "generation_config", None)
    named = getattr(generation, "eos_token_id", None)
    if named is None or _is_default(model, generation, named):
        return (own,)
    return tuple(dict.fromkeys([own, *(named if isinstance(named, list) else [named])]))


def padding_token(tokenizer: str | Tokenizer) -> int:
    """Return the padding token. On the meta device no tokenizer is loaded."""
    return 0 if _is_meta(tokenizer) else int(causal_tokenizer(tokenizer).pad_token_id or 0)


def num_tokens(tokenizer: str | Tokenizer) -> int | None:
    """Return the number of tokens, None if unknown. Models may have more logits: the others are padding."""
    loaded: Any = None if _is_meta(tokenizer) else causal_tokenizer(tokenizer)
    return len(loaded) if isinstance(loaded, Sized) else None


def _is_meta(tokenizer: str | Tokenizer) -> bool:
    return isinstance(tokenizer, str) and torch.get_default_device().type == "meta"


def _is_default(model: nn.Module, generation: Any, named: Any) -> bool:
    """Return whether the end token is the default of the configuration class, a token of another tokenizer."""
    config = getattr(model, "config", None)
    if config is None or not getattr(generation, "_from_model_config", False):
        return False
    return bool(named == getattr(type(config)(), "eos_token_id", None))
