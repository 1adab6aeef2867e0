"""8-bit quantization of a bottleneck's output.

Benoit Jacob et al. "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference." CVPR
2018. https://arxiv.org/abs/1712.05877
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Quantized(NamedTuple):
    """8-bit numbers with scale and offset per sample: value ≈ offset + scale · number."""

    numbers: Tensor
    scale: Tensor
    offset: Tensor

    @property
    def num_bytes(self) -> int:
        """The size of all three tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self)


def quantize(values: Tensor) -> Quantized:
    """Divide each sample's range into 255 equal steps and round every value to the nearest; the extremes stay exact.

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
    """Return the values (batch, …) float32, each with an error of at most half a step.

    >>> dequantize(quantize(torch.tensor([[0.0, 51.2, 255.0]]))).tolist()
    [[0.0, 51.0, 255.0]]
    """
    shape = (-1,) + (1,) * (sent.numbers.dim() - 1)
    return sent.offset.view(shape) + sent.scale.view(shape) * sent.numbers
