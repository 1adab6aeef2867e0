"""A model in a few words."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy


def describe_model(model: nn.Module) -> str:
    """Return the class of a model and its number of parameters: `ResNet, 268,346 parameters`."""
    parameters: list[Any] = list(model.parameters())
    numbers = sum(parameter.numel() for parameter in parameters if not is_lazy(parameter))
    return f"{type(model).__name__}, {numbers:,} parameters"
