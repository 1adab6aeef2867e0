"""Attention from queries and keys, which can be tapped in any model."""

from __future__ import annotations

from torch import Tensor

from distill_core.errors import WiringError
from distill_core.layers import at_least_float32


def attention_scores(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """How much each token attends to each, before the softmax: q · kᵀ / √d, with d the width of a head.

    Args:
        query: (batch, tokens, width).
        key: The same shape.
        heads: Into how many parts the width is cut.

    Returns:
        (batch, heads, tokens, tokens), float32 at least.

    Raises:
        WiringError: The width is no multiple of `heads`.
    """
    if query.shape[-1] % heads:
        message = f"a width of {query.shape[-1]} cannot be cut into {heads} heads"
        raise WiringError(message)
    queries, keys = (_by_head(at_least_float32(tensor), heads) for tensor in (query, key))
    scores: Tensor = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return scores


def _by_head(tensor: Tensor, heads: int) -> Tensor:
    """(batch, tokens, width) → (batch, heads, tokens, width of a head)."""
    return tensor.reshape(*tensor.shape[:2], heads, -1).transpose(1, 2)
