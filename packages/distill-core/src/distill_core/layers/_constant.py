"""Frozen copies of modules that let gradients pass to their input, such as a teacher's head inside a loss."""

from __future__ import annotations

import copy
from typing import Self

from torch import Tensor, nn


class Constant(nn.Module):
    """Frozen copy of a module: its parameters are buffers and it stays in evaluation mode.

    Args:
        module: Module to copy, with its current weights.

    >>> import torch
    >>> head = Constant(nn.Linear(3, 2))
    >>> features = torch.ones(1, 3, requires_grad=True)
    >>> head(features).sum().backward()
    >>> features.grad is not None, list(head.parameters())
    (True, [])
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).eval()
        for part in self.module.modules():
            for name, parameter in list(part.named_parameters(recurse=False)):
                delattr(part, name)
                part.register_buffer(name, parameter.detach())

    def forward(self, features: Tensor) -> Tensor:
        """Return the module's output for `features`, computed in the precision of its weights."""
        weight = next((buffer for buffer in self.module.buffers() if buffer.is_floating_point()), features)
        result: Tensor = self.module(features.to(weight.dtype))
        return result

    def train(self, mode: bool = True) -> Self:
        """Keep the module in evaluation mode, with fixed batch statistics and no dropout."""
        super().train(mode)
        self.module.eval()
        return self
