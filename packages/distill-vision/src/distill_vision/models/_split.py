"""A model with a bottleneck, cut in two, and what goes between the halves."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distill_core.hooks import resolve
from distill_core.tree import tensors

from ._bottleneck import find_bottleneck
from ._quantize import quantize


def cut(model: nn.Module, stem: Sequence[str] = ()) -> tuple[nn.Sequential, nn.Module]:
    """The head, for the device, and the tail, for the server; both are copies.

    `tail(head(images))` is `model(images)`; if the bottleneck is quantized, `tail(dequantize(quantize(head(images))))` is.

    Args:
        model: With one bottleneck, in the place of its first modules or after its stem.
        stem: Paths of the modules before the bottleneck, in the order in which they are called.

    Returns:
        The stem and the bottleneck's encoder; and the model with the decoder alone where the bottleneck was.

    Raises:
        WiringError: The model has not exactly one bottleneck, or no such stem.
    """
    path, _ = find_bottleneck(model)
    tail = copy.deepcopy(model)
    _, bottleneck = find_bottleneck(tail)
    head = nn.Sequential(*[resolve(tail, name) for name in stem], bottleneck.encoder)
    tail.set_submodule(path, bottleneck.decoder)
    for name in stem:
        tail.set_submodule(name, nn.Identity())
    return head.train(model.training), tail


@dataclass(frozen=True)
class Transfer:
    """What is sent for a batch, in bytes.

    Attributes:
        images: The images themselves, a byte for each pixel and channel.
        float32: What the encoder gives, as it is.
        quantized: What it gives in 8 bits a number, with each sample's scale and offset.
    """

    images: int
    float32: int
    quantized: int

    def __str__(self) -> str:
        shares = (f"{size:,} bytes ({size / self.images:.1%})" for size in (self.float32, self.quantized))
        return "images {:,} bytes, bottleneck {} as float32, {} in 8 bits".format(self.images, *shares)


@torch.no_grad()
def transfer_size(model: nn.Module, images: Any) -> Transfer:
    """Run the model on the images and measure what its bottleneck would send.

    Args:
        model: With one bottleneck; in evaluation mode, or what it normalises by changes.
        images: What the model takes: (batch, channels, height, width), or a list of images for a detector.

    Raises:
        WiringError: The model has not exactly one bottleneck.

    >>> from distill_vision.models import bottleneck_resnet, resnet20
    >>> print(transfer_size(bottleneck_resnet(resnet20(), channels=4).eval(), torch.zeros(1, 3, 32, 32)))
    images 3,072 bytes, bottleneck 4,096 bytes (133.3%) as float32, 1,032 bytes (33.6%) in 8 bits
    """
    _, bottleneck = find_bottleneck(model)
    sent: list[Tensor] = []

    def note(module: nn.Module, inputs: Any, out: Tensor) -> None:
        del module, inputs
        sent.append(out)

    hook = bottleneck.encoder.register_forward_hook(note)
    try:
        model(images)
    finally:
        hook.remove()
    size = sum(image.numel() for image in tensors(images))
    numbers = sum(part.numel() for part in sent)
    return Transfer(size, 4 * numbers, sum(quantize(part).num_bytes for part in sent))
