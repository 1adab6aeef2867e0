"""The embeddings of a transformers model: its tokens, its positions, and where it counts them from."""

from __future__ import annotations

from typing import Any

from torch import nn

_TABLES = ("wpe", "position_embeddings")
"""The names of learned tables of positions: GPT-2's, and BERT's and its descendants'."""


def num_positions(model: nn.Module) -> int | None:
    """Return the number of tokens that a model can read at once; None if it has no limit or does not say.

    RoBERTa's table has rows before its first position, which are not counted.
    """
    table = position_table(model)
    if table is not None:
        return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    config: Any = getattr(model, "config", None)
    if config is None or getattr(config, "alibi", False) or getattr(config, "relative_attention", False):
        return None
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    most: int | None = getattr(config, "max_position_embeddings", None)
    return most if most is None or most > 0 else None


def num_embeddings(model: nn.Module) -> int | None:
    """Return the number of tokens that a model knows; None if it does not say."""
    try:
        table: Any = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None
    rows: int | None = getattr(table, "num_embeddings", None)
    return rows


def position_table(model: nn.Module) -> nn.Embedding | None:
    """Return the learned table of positions of a model.

    Its `padding_idx` is the padding token that positions are counted from, None if they are counted from the first token.
    """
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in _TABLES and isinstance(module, nn.Embedding):
            return module
    return None
