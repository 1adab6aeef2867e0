"""The work on which loops are compared: a student, a teacher, data and an objective with a number of taps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from distill_core.losses import KDLoss
from distill_vision.models import resnet20, resnet56


@dataclass(frozen=True)
class Work:
    """One training job, the same for every loop.

    Attributes:
        name: The name in the README.
        student, teacher: Models initialised from a seed.
        inputs, targets: All samples; a batch is `batch_size` consecutive samples.
        layers: The modules that are tapped in both models, each with a separate mean squared error.
        block: Number of steps per turn of a loop.
    """

    name: str
    student: nn.Module
    teacher: nn.Module
    inputs: Tensor
    targets: Tensor
    batch_size: int
    layers: tuple[str, ...]
    block: int

    # For the labels, for the teacher's output, for each tapped pair.
    criteria: ClassVar = (nn.CrossEntropyLoss(), KDLoss(temperature=4.0), nn.MSELoss())
    weights: ClassVar = (0.1, 0.9, 0.01)
    lr: ClassVar = 0.001
    momentum: ClassVar = 0.9
    log_every: ClassVar = 50


class TinyMLP(nn.Module):
    """Linear layers of 64 units with an activation between them: arithmetic is almost free."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(64, 64), nn.ReLU())))
        self.head = nn.Linear(64, 10)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (batch, 10) of features (batch, 64)."""
        logits: Tensor = self.head(self.layers(features))
        return logits


def tiny_mlp(taps: int, *, tapped: bool = True) -> Work:
    """Build an MLP with four hidden layers, whose eight modules can be tapped; with sixteen for 32 taps.

    Args:
        taps: Number of modules to tap in both models.
        tapped: Whether to tap them; the models do not depend on it.
    """
    torch.manual_seed(0)
    depth = 4 if taps <= 8 else 16
    student, teacher = TinyMLP(depth), TinyMLP(depth)
    layers = tuple(f"layers.{index}" for index in range(taps)) if tapped else ()
    inputs, targets = torch.randn(6400, 64), torch.randint(10, (6400,))
    return Work(f"tiny MLP, {depth} hidden layers", student, teacher, inputs, targets, 32, layers, 25)


def resnet_pair(taps: int, *, tapped: bool = True) -> Work:
    """Build ResNet-20 from ResNet-56 on images of 32×32 pixels."""
    torch.manual_seed(0)
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    # Not `bn1`, whose output the activation overwrites: a loop by hand would have to copy it.
    modules = [*blocks[1:], *(f"{block}.{child}" for block in blocks for child in ("conv2", "bn2", "conv1"))]
    layers = tuple(modules[:taps]) if tapped else ()
    inputs, targets = torch.randn(320, 3, 32, 32), torch.randint(10, (320,))
    return Work("ResNet-20 from ResNet-56", resnet20(), resnet56(), inputs, targets, 32, layers, 1)


WORKS = {"mlp": tiny_mlp, "resnet": resnet_pair}
