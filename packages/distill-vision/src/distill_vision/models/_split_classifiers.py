"""Classifiers for split computing: a ResNet or DenseNet whose first layers are a bottleneck."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from distill_core.errors import WiringError
from distill_core.hooks import resolve

from ._bottleneck import SplitBottleneck, with_bottleneck

Model = TypeVar("Model", bound=nn.Module)


def bottleneck_resnet(
    model: Model, channels: int = 12, *, last: str = "layer2", width: int = 64, quantized: bool = False
) -> Model:
    """Replace a ResNet's modules from `conv1` to `last`, in place; later modules are unchanged.

    The bottleneck is at `conv1`, and its output replaces that of `last`.

    Args:
        model: A ResNet of torchvision, or of this package, with its final weights.
        channels: Number of channels to send.
        last: The last layer to replace.
        width: Number of channels within the encoder.
        quantized: Whether to send 8-bit numbers in eval mode.

    Returns:
        The model.

    Raises:
        WiringError: The model has another structure, or no layer follows `last`.

    >>> from torchvision.models import resnet18
    >>> bottleneck_resnet(resnet18()).conv1.encoder[0]
    Conv2d(3, 64, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
    """
    stem = [name for name in ("conv1", "bn1", "relu", "maxpool") if hasattr(model, name)]
    layers = [f"layer{number}" for number in range(1, 5) if hasattr(model, f"layer{number}")]
    following = _following(model, layers, last)
    replaced = [*stem, *layers[: layers.index(last) + 1]]
    halved = sum(_halves(resolve(model, name)) for name in replaced)
    inside, out = _channels(resolve(model, "conv1"), resolve(model, following))
    made = SplitBottleneck(inside, out, channels=channels, halvings=[True] * halved, width=width, quantized=quantized)
    return with_bottleneck(model, made, replaced)


def bottleneck_densenet(
    model: Model, channels: int = 12, *, last: str = "transition2", width: int = 64, quantized: bool = False
) -> Model:
    """Replace a DenseNet's modules from `features.conv0` to `last`, in place; later modules are unchanged.

    The bottleneck is at `features.conv0`, and its output replaces that of `features.<last>`.

    Args:
        model: A DenseNet of torchvision, or of this package, with its final weights.
        channels: Number of channels to send.
        last: The last of the features' modules to be replaced, a transition.
        width: Number of channels within the encoder.
        quantized: Whether to send 8-bit numbers in eval mode.

    Returns:
        The model.

    Raises:
        WiringError: The model has another structure, or no module follows `last`.
    """
    names = [name for name, _ in resolve(model, "features").named_children()]
    following = _following(model, names, last)
    replaced = [f"features.{name}" for name in names[: names.index(last) + 1]]
    # The pooling of a transition rounds an odd size down, earlier layers round it up.
    halvings = ["transition" not in name for name in replaced if _halves(resolve(model, name))]
    inside, out = _channels(resolve(model, "features.conv0"), resolve(model, f"features.{following}"))
    made = SplitBottleneck(
        inside, out, channels=channels, halvings=halvings, width=width, relu=False, quantized=quantized
    )
    return with_bottleneck(model, made, replaced)


def bottleneck_inception(model: Model, channels: int = 12, *, width: int = 64, quantized: bool = False) -> Model:
    """Replace the modules of Inception v3 from `Conv2d_1a_3x3` to `maxpool2`, in place; later modules are unchanged.

    The bottleneck is at `Conv2d_1a_3x3`, and its output replaces that of `maxpool2`.

    Args:
        model: An Inception v3 of torchvision with its final weights.
        channels: Number of channels to send.
        width: Number of channels within the encoder.
        quantized: Whether to send 8-bit numbers in eval mode.

    Returns:
        The model.

    Raises:
        WiringError: The model has another structure.
    """
    first, *_ = replaced = [
        "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2",
    ]  # fmt: skip
    inside, out = _channels(resolve(model, f"{first}.conv"), resolve(model, "Mixed_5b.branch1x1"))
    # A convolution of 3×3 and one of 3×3 with stride 2, both without padding, have the output size of one of 5×5.
    made = SplitBottleneck(inside, out, channels=channels, kernels=[3, 5, 5], width=width, quantized=quantized)
    return with_bottleneck(model, made, replaced)


def _following(model: nn.Module, names: list[str], last: str) -> str:
    """Return the name after `last`."""
    if last not in names[:-1]:
        message = f"`last` of {type(model).__name__} must be one of {', '.join(names[:-1])}, got '{last}'"
        raise WiringError(message)
    return names[names.index(last) + 1]


def _channels(first: nn.Module, following: nn.Module) -> tuple[int, int]:
    """Return the numbers of input channels of the first convolution and of the following module."""
    into = next(module for module in following.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d))
    if not isinstance(first, nn.Conv2d):
        message = f"the first module must be a Conv2d, got {type(first).__name__}"
        raise WiringError(message)
    return first.in_channels, into.in_channels if isinstance(into, nn.Conv2d) else into.num_features


def _halves(module: nn.Module) -> bool:
    """Return whether the module contains a stride of two."""
    return any(getattr(child, "stride", 1) in (2, (2, 2)) for child in module.modules())
