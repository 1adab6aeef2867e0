"""The padding token of a model, by which sequence classifiers of transformers find the last token of a text."""

from __future__ import annotations

from typing import Any

from torch import nn

from distill_core.errors import DataError, DistillError

from .._positions import position_table
from ..data import Tokenizer, find_tokenizer


def set_padding(model: nn.Module, tokenizer: Tokenizer) -> None:
    """Set the padding token of a model's configuration to that of its tokenizer.

    Args:
        model: A model of transformers, modified in place.
        tokenizer: The tokenizer of the model's batches.

    Raises:
        DistillError: The tokenizer has more tokens than the model, or the model counts its positions from another
            padding token (RoBERTa).
    """
    config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
    count, padding = len(tokenizer), tokenizer.pad_token_id  # type: ignore[arg-type]
    if count > config.vocab_size:
        message = f"the tokenizer has {count} tokens, but {type(model).__name__} has {config.vocab_size}"
        raise DistillError(message, hint="use the model's own tokenizer")
    table = position_table(model)
    own = None if table is None else table.padding_idx
    if own is not None and own != padding:
        kind = type(model).__name__
        message = f"the tokenizer pads with token {padding}, but {kind} counts its positions from padding token {own}"
        raise DistillError(message, hint="use the model's own tokenizer")
    config.pad_token_id = padding
    if (generation := getattr(model, "generation_config", None)) is not None:
        generation.pad_token_id = padding


def complete_padding(model: nn.Module, name_or_path: str, tokenizer: Tokenizer | None) -> None:
    """Set the padding token of a sequence classifier to that of `tokenizer`, its own, its folder's, or its end token.

    Args:
        model: A model of transformers, modified in place.
        name_or_path: The model's folder or name.
        tokenizer: The tokenizer of the model's batches, None if unknown.

    Raises:
        DistillError: No padding token exists, or the tokenizer does not match the model.
    """
    if tokenizer is not None:
        set_padding(model, tokenizer)
        return
    config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
    if config.pad_token_id is not None:
        return
    if (own := tokenizer_of(name_or_path)) is not None:
        set_padding(model, own)
        return
    end = config.eos_token_id[0] if isinstance(config.eos_token_id, list) else config.eos_token_id
    if end is None or not 0 <= end < config.vocab_size:
        message = f"{type(model).__name__} of '{name_or_path}' has no padding token, and its folder has no tokenizer"
        raise DistillError(message, hint="set `tokenizer` to the tokenizer of the data")
    config.pad_token_id = end


def tokenizer_of(name_or_path: str) -> Tokenizer | None:
    """Return the tokenizer in a model's folder, None if it has none."""
    try:
        return find_tokenizer(name_or_path)
    except DataError:
        return None
