"""Gradient reversal: the identity forwards, the opposite direction backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Progress(Protocol):
    """How far training has come, as `distill_core.experiment.StageProgress` says it: what a schedule depends on."""

    @property
    def progress(self) -> float:
        """From 0 to 1."""

    @property
    def epoch(self) -> float:
        """Epochs done, with fractions."""


class GradientReversal(nn.Module):
    """Hands a tensor on unchanged; its gradient is multiplied by −strength (Ganin & Lempitsky 2015).

    Args:
        strength: λ ≥ 0, or a schedule: a callable from a `StageProgress` to λ, see `set_progress`.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> GradientReversal(0.5)(x**2).backward()
    >>> x.grad
    tensor(-3.)
    """

    strength: Tensor

    def __init__(self, strength: float | Callable[[Progress], float] = 1.0) -> None:
        super().__init__()
        self.schedule = strength if callable(strength) else None
        self.register_buffer("strength", torch.tensor(0.0 if callable(strength) else float(strength)))

    def set_progress(self, progress: Progress) -> None:
        """Take the strength that the schedule has at this moment; whoever trains calls it before each step."""
        if self.schedule is not None:
            self.strength.fill_(self.schedule(progress))

    def forward(self, tensor: Tensor) -> Tensor:
        """The same numbers."""
        constant = tensor.detach()
        return constant - self.strength * (tensor - constant)
