"""Gradient reversal: the identity in the forward pass, the opposite gradient in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Progress(Protocol):
    """Training progress that schedules depend on, see `distill_core.experiment.StageProgress`."""

    @property
    def progress(self) -> float:
        """Completed fraction of the stage, from 0 to 1."""

    @property
    def epoch(self) -> float:
        """Completed epochs, with fractions."""


class GradientReversal(nn.Module):
    """Identity whose gradient is multiplied by −strength (Ganin & Lempitsky 2015).

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
        """Evaluate the strength schedule. Called by the trainer before each step."""
        if self.schedule is not None:
            self.strength.fill_(self.schedule(progress))

    def forward(self, tensor: Tensor) -> Tensor:
        """Return the tensor unchanged."""
        constant = tensor.detach()
        return constant - self.strength * (tensor - constant)
