"""Eight bits for a number: what a bottleneck's output is sent as.

Benoit Jacob et al. "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference." CVPR
2018. https://arxiv.org/abs/1712.05877
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Quantized(NamedTuple):
    """Numbers of 8 bits, and each sample's scale and offset: value ≈ offset + scale · number."""

    numbers: Tensor
    scale: Tensor
    offset: Tensor

    @property
    def num_bytes(self) -> int:
        """What all three take."""
        return sum(part.numel() * part.element_size() for part in self)


def quantize(values: Tensor) -> Quantized:
    """Each sample's range in 255 equal steps, every value rounded to the nearest; its least and greatest stay exact.

    Args:
        values: (batch, …) floats.

    Returns:
        Numbers (batch, …) uint8; scale and offset (batch,) float32.

    >>> quantize(torch.tensor([[0.0, 51.0, 255.0]])).numbers.tolist()
    [[0, 51, 255]]
    """
    flat = values.float().flatten(1)
    offset, largest = flat.aminmax(dim=1)
    scale = (largest - offset) / 255
    steps = (flat - offset[:, None]) / torch.where(scale > 0, scale, 1)[:, None]
    return Quantized(steps.round().clamp(0, 255).to(torch.uint8).view_as(values), scale, offset)


def dequantize(sent: Quantized) -> Tensor:
    """The values (batch, …) float32, each off by at most half a step.

    >>> dequantize(quantize(torch.tensor([[0.0, 51.2, 255.0]]))).tolist()
    [[0.0, 51.0, 255.0]]
    """
    shape = (-1,) + (1,) * (sent.numbers.dim() - 1)
    return sent.offset.view(shape) + sent.scale.view(shape) * sent.numbers
