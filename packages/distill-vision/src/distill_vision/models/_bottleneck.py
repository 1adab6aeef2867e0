"""Bottlenecks for split computing: a model's first layers replaced by a narrow encoder and a decoder.

A weak device runs the encoder and sends its output, which is smaller than the image; a server runs the rest. Encoder and
decoder learn to reproduce the output of the replaced layers (`HNDLoss`) or of later layers (`GHNDLoss`).

Yoshitomo Matsubara, Sabur Baidya, Davide Callegaro, Marco Levorato, Sameer Singh. "Distilled Split Deep Neural Networks
for Edge-Assisted Real-Time Systems." HotEdgeVideo 2019. https://doi.org/10.1145/3349614.3356022
Yoshitomo Matsubara, Davide Callegaro, Sabur Baidya, Marco Levorato, Sameer Singh. "Head Network Distillation." IEEE
Access 2020. https://doi.org/10.1109/ACCESS.2020.3039714
Yoshitomo Matsubara, Marco Levorato. "Neural Compression and Filtering for Edge-assisted Real-time Object Detection in
Challenged Networks." ICPR 2020. https://arxiv.org/abs/2007.15818

The widths of the layers of `SplitBottleneck` differ from those of the papers; `_sc2.py` has the published models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, final

from torch import Tensor, nn

from distill_core.errors import WiringError
from distill_core.hooks import resolve

from ._quantize import dequantize, quantize

Model = TypeVar("Model", bound=nn.Module)


def _step(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, *, padded: bool = True
) -> list[nn.Module]:
    """Return convolution, batch norm and ReLU; halving rounds an odd size up with a kernel of 3 and down with 2."""
    padding = (kernel_size - 1) // 2 if padded else 0
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]


class Coder(NamedTuple):
    """Modules that write the encoder's output as bytes and read it again."""

    encode: nn.Module
    decode: nn.Module


class Bottleneck(nn.Module):
    """An encoder, whose output is sent, and a decoder.

    Args:
        encoder: From images, or the output of the layers before, to what is sent.
        decoder: From what was sent to the output of the replaced layers.
        quantized: Whether to round the encoder's output to 8 bits in eval mode; see `quantize`.
    """

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential, *, quantized: bool = False) -> None:
        super().__init__()
        self.encoder, self.decoder, self.quantized = encoder, decoder, quantized

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width) to (batch, out_channels, smaller height, smaller width)."""
        sent: Tensor = self.encoder(images)
        if self.quantized and not self.training:
            sent = dequantize(quantize(sent)).to(sent.dtype)
        out: Tensor = self.decoder(sent)
        return out

    def coder(self) -> Coder | None:
        """Return the entropy coder of what is sent; None if numbers are sent as they are."""
        return None


@final
class SplitBottleneck(Bottleneck):
    """A bottleneck of 3×3 convolutions that fits any model.

    The encoder halves height and width as often as the replaced layers and ends with `channels` channels. The decoder keeps
    the size.

    Args:
        in_channels: Number of input channels, 3 for images.
        out_channels: Number of output channels of the replaced layers.
        channels: Number of channels to send.
        halvings: One entry per halving of height and width: whether an odd size is rounded up, as by a convolution of 3×3
            pixels, or down, as by a pooling of 2×2.
        kernels: The kernel size of each halving, without padding, as in Inception v3; set this or `halvings`.
        width: Number of channels of the other layers of the encoder.
        relu: Whether the output is never negative, as after a ResNet's layers.
        quantized: Whether to round the encoder's output to 8 bits in eval mode; see `quantize`.

    >>> import torch
    >>> SplitBottleneck(3, 512, channels=12, halvings=[True, True, True]).encoder(torch.zeros(2, 3, 225, 225)).shape
    torch.Size([2, 12, 29, 29])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        channels: int = 12,
        halvings: Sequence[bool] = (),
        kernels: Sequence[int] = (),
        width: int = 64,
        relu: bool = True,
        quantized: bool = False,
    ) -> None:
        halving = [*kernels] or [3 if up else 2 for up in halvings]
        widths = [in_channels, *[width] * max(len(halving) - 1, 1), channels]
        num_kept = len(widths) - 1 - len(halving)
        steps = zip(widths, widths[1:], [*halving, *[3] * num_kept], [2] * len(halving) + [1] * num_kept, strict=False)
        encoder = nn.Sequential(*[module for step in steps for module in _step(*step, padded=not kernels)])
        middle = max(out_channels // 2, channels)
        decoder = [*_step(channels, middle), *_step(middle, out_channels)]
        super().__init__(encoder, nn.Sequential(*(decoder if relu else decoder[:-1])), quantized=quantized)


def with_bottleneck(model: Model, bottleneck: Bottleneck, replaced: Sequence[str]) -> Model:
    """Replace modules of a model by a bottleneck, in place.

    The bottleneck replaces the first module, and identities replace the others, so that their names remain: if `layer2` is
    the last replaced module, `student.layer2` is the bottleneck's output. The rest of the state dict is unchanged.

    Args:
        model: A model that calls the modules in turn, each with the output of the one before.
        bottleneck: A bottleneck with the output shape of the last replaced module.
        replaced: Paths of the modules, in the order in which they are called.

    Returns:
        The model.

    Raises:
        WiringError: A module does not exist.

    >>> from collections import OrderedDict
    >>> model = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 8, 3), layer1=nn.Conv2d(8, 16, 3), layer2=nn.Flatten()))
    >>> changed = with_bottleneck(model, SplitBottleneck(3, 16), ["conv1", "layer1"])
    >>> type(changed.conv1).__name__, type(changed.layer1).__name__
    ('SplitBottleneck', 'Identity')
    """
    for path in replaced:
        resolve(model, path)
    model.set_submodule(replaced[0], bottleneck)
    for path in replaced[1:]:
        model.set_submodule(path, nn.Identity())
    return model.train(model.training)


def find_bottleneck(model: nn.Module) -> tuple[str, Bottleneck]:
    """Return the path of the model's bottleneck, and the bottleneck.

    Raises:
        WiringError: The model has no bottleneck, or several.
    """
    found = [(path, module) for path, module in model.named_modules() if isinstance(module, Bottleneck)]
    if len(found) != 1:
        message = f"{type(model).__name__} must have exactly one bottleneck, got {len(found)}"
        raise WiringError(message, hint="add one with `with_bottleneck`")
    return found[0]
