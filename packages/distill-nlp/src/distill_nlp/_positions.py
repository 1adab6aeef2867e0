"""The token and position embeddings of a transformers model."""

from __future__ import annotations

from typing import Any

from torch import nn

_TABLES = ("wpe", "position_embeddings")
"""Names of learned position embeddings: GPT-2's, and those of BERT and its descendants."""


def num_positions(model: nn.Module) -> int | None:
    """Return the maximum number of tokens in a model's input, None if unlimited or unknown.

    The rows before the first position of RoBERTa's table are not counted.
    """
    table = position_table(model)
    if table is not None:
        return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    config: Any = getattr(model, "config", None)
    if config is None or getattr(config, "alibi", False) or getattr(config, "relative_attention", False):
        return None
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    maximum: int | None = getattr(config, "max_position_embeddings", None)
    return maximum if maximum is None or maximum > 0 else None


def num_embeddings(model: nn.Module) -> int | None:
    """Return the size of a model's token embedding, None if unknown."""
    try:
        table: Any = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None
    rows: int | None = getattr(table, "num_embeddings", None)
    return rows


def position_table(model: nn.Module) -> nn.Embedding | None:
    """Return the learned position embedding of a model, None if it has none.

    Its `padding_idx` is the padding token after which positions start, None if they start at the first token.
    """
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in _TABLES and isinstance(module, nn.Embedding):
            return module
    return None
