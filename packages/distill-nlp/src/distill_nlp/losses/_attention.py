"""Attention scores from queries and keys, which can be tapped in any model."""

from __future__ import annotations

from torch import Tensor

from distill_core.errors import WiringError
from distill_core.layers import at_least_float32


def attention_scores(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """Return attention scores before the softmax, q · kᵀ / √d, with d the head width.

    Args:
        query: (batch, tokens, width).
        key: The same shape.
        heads: Number of heads that the width is split into.

    Returns:
        (batch, heads, tokens, tokens), at least float32.

    Raises:
        WiringError: If the width is not a multiple of `heads`.
    """
    if query.shape[-1] % heads:
        message = f"a width of {query.shape[-1]} is not a multiple of {heads} heads"
        raise WiringError(message)
    queries, keys = (_by_head(at_least_float32(tensor), heads) for tensor in (query, key))
    scores: Tensor = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return scores


def _by_head(tensor: Tensor, heads: int) -> Tensor:
    """Split (batch, tokens, width) into (batch, heads, tokens, head width)."""
    return tensor.reshape(*tensor.shape[:2], heads, -1).transpose(1, 2)
