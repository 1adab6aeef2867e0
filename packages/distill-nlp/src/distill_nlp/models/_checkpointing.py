"""Activations that are computed again in the backward pass instead of being stored."""

from __future__ import annotations

from typing import Any

from torch import nn

from distill_core.errors import DistillError


def with_gradient_checkpointing(model: nn.Module) -> nn.Module:
    """Make a model of transformers compute the activations of its layers again in the backward pass, to save memory.

    Gradients stay the same. It has an effect only in train mode, not for a frozen teacher.

    Args:
        model: The model, modified in place.

    Raises:
        DistillError: The model does not support it.
    """
    checked: Any = model
    if not getattr(checked, "supports_gradient_checkpointing", False):
        message = f"{type(model).__name__} does not support gradient checkpointing"
        raise DistillError(message, hint="omit `gradient_checkpointing`")
    newer = getattr(checked, "activation_checkpointing_enable", None)  # renamed in transformers 5
    enable = newer or checked.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    return model
