"""Optional outputs of a model: hidden states, attentions and the cache of keys and values."""

from __future__ import annotations

from typing import Any

from torch import nn

from distill_core.errors import DistillError


def output_options(*, hidden_states: bool, attentions: bool, attn_implementation: str | None) -> dict[str, Any]:
    """Return options for a configuration of transformers.

    Raises:
        DistillError: Attentions are requested with an implementation that does not return them.
    """
    if attentions and attn_implementation not in (None, "eager"):
        message = f"attn_implementation '{attn_implementation}' does not return attentions"
        raise DistillError(message, hint="omit it with attentions: true, or set it to 'eager'")
    chosen = "eager" if attentions else attn_implementation
    named = {} if chosen is None else {"attn_implementation": chosen}
    return {"output_hidden_states": hidden_states, "output_attentions": attentions, **named}


def set_use_cache(model: nn.Module, use_cache: bool) -> None:
    """Set whether a decoder returns its cache by default; do nothing for models without a cache."""
    config: Any = model.config
    for each in {id(part): part for part in (config, config.get_text_config())}.values():
        if hasattr(each, "use_cache"):
            each.use_cache = use_cache
