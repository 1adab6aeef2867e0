"""Small models with everything that makes capturing hard."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .networks import Net


class Residual(nn.Module):
    """Writes in place in three ways; with `inplace=False` it computes the same without."""

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=inplace)
        self.fc = nn.Linear(3, 2)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv(x)))
        y = self.bn2(x)
        if self.inplace:
            y += x
        else:
            y = y + x
        y = self.bn3(y)
        y = F.relu_(y) if self.inplace else F.relu(y)
        return self.fc(y.mean((2, 3)))


@pytest.fixture
def pair() -> tuple[Residual, Residual]:
    """Two models of equal weights: one writes in place, the other does not."""
    overwriting, plain = Residual(inplace=True), Residual(inplace=False)
    plain.load_state_dict(overwriting.state_dict())
    return overwriting, plain


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 3, 6, 6)


class Opaque(nn.Sequential):
    """Calls its modules in a row, which only shows when it runs."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


@pytest.fixture
def chain() -> Opaque:
    """Four linear layers, `0` to `3`, each of which counts its calls in `calls`."""
    model = Opaque(*(nn.Linear(4, 4) for _ in range(4)))
    for layer in model:
        layer.calls = 0
        layer.register_forward_hook(lambda module, args, output: setattr(module, "calls", module.calls + 1))
    return model.eval()


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4)
