"""Division of a model with a bottleneck into head and tail, and the size of the transfer between them."""

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
    """Return copies of the head, for the device, and of the tail, for the server.

    `tail(head(images))` equals `model(images)`, or `tail(dequantize(quantize(head(images))))` if the bottleneck is
    quantized. The head of an `EntropicBottleneck` returns `Coded` strings.

    Args:
        model: A model with one bottleneck, which replaces its first modules or follows its stem.
        stem: Paths of the modules before the bottleneck, in the order in which they are called.

    Returns:
        The stem with the bottleneck's encoder, and the model with the decoder in place of the bottleneck.

    Raises:
        WiringError: The model does not have exactly one bottleneck, or a module of the stem does not exist.
    """
    path, _ = find_bottleneck(model)
    tail = copy.deepcopy(model)
    _, bottleneck = find_bottleneck(tail)
    coder = bottleneck.coder()
    encoders = [bottleneck.encoder] if coder is None else [bottleneck.encoder, coder.encode]
    head = nn.Sequential(*[resolve(tail, name) for name in stem], *encoders)
    tail.set_submodule(path, bottleneck.decoder if coder is None else nn.Sequential(coder.decode, bottleneck.decoder))
    for name in stem:
        tail.set_submodule(name, nn.Identity())
    return head.train(model.training), tail


@dataclass(frozen=True)
class Transfer:
    """The sizes of a batch in bytes.

    Attributes:
        images: The images, one byte per pixel and channel.
        float32: The encoder's output as float32.
        quantized: The encoder's output as 8-bit numbers, with scale and offset per sample.
        coded: The strings of an `EntropicBottleneck`; None for others.
    """

    images: int
    float32: int
    quantized: int
    coded: int | None = None

    def __str__(self) -> str:
        sizes = {"as float32": self.float32, "in 8 bits": self.quantized, "entropy-coded": self.coded}
        told = [f"{size:,} bytes ({size / self.images:.1%}) {how}" for how, size in sizes.items() if size is not None]
        return f"images {self.images:,} bytes, bottleneck {', '.join(told)}"


@torch.no_grad()
def transfer_size(model: nn.Module, images: Any) -> Transfer:
    """Run the model on images and measure the size of its bottleneck's output.

    Args:
        model: A model with one bottleneck, in eval mode; in train mode its running statistics change.
        images: Input of the model: (batch, channels, height, width), or a list of images for a detector.

    Raises:
        WiringError: The model does not have exactly one bottleneck.

    >>> from distill_vision.models import bottleneck_resnet, resnet20
    >>> print(transfer_size(bottleneck_resnet(resnet20(), channels=4).eval(), torch.zeros(1, 3, 32, 32)))
    images 3,072 bytes, bottleneck 4,096 bytes (133.3%) as float32, 1,032 bytes (33.6%) in 8 bits
    """
    _, bottleneck = find_bottleneck(model)
    sent: list[Tensor] = []

    def record(module: nn.Module, inputs: Any, out: Tensor) -> None:
        del module, inputs
        sent.append(out)

    hook = bottleneck.encoder.register_forward_hook(record)
    try:
        model(images)
    finally:
        hook.remove()
    size = sum(image.numel() for image in tensors(images))
    num_values = sum(tensor.numel() for tensor in sent)
    coder = copy.deepcopy(bottleneck).coder()
    coded = None if coder is None else sum(coder.encode(tensor).num_bytes for tensor in sent)
    return Transfer(size, 4 * num_values, sum(quantize(tensor).num_bytes for tensor in sent), coded)
