"""Classifiers for split computing: a ResNet or DenseNet whose first layers are a bottleneck."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from distill_core.errors import Problem, WiringError
from distill_core.hooks import resolve

from ._bottleneck import SplitBottleneck, with_bottleneck

Model = TypeVar("Model", bound=nn.Module)


def bottleneck_resnet(
    model: Model, channels: int = 12, *, last: str = "layer2", width: int = 64, quantized: bool = False
) -> Model:
    """Replace a ResNet's modules from `conv1` to `last`, in place; what comes after stays as it is.

    The bottleneck is at `conv1`, and its output is that of `last` too.

    Args:
        model: A ResNet of torchvision, or of this package, with the weights it is to have.
        channels: Channels of what is sent.
        last: The last layer to be replaced.
        width: Channels within the encoder.
        quantized: Send 8 bits a number while evaluating.

    Returns:
        The model.

    Raises:
        WiringError: It is built in another way, or there is no layer after `last`.

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
    """Replace a DenseNet's modules from `features.conv0` to `last`, in place; what comes after stays as it is.

    The bottleneck is at `features.conv0`, and its output is that of `features.<last>` too.

    Args:
        model: A DenseNet of torchvision, or of this package, with the weights it is to have.
        channels: Channels of what is sent.
        last: The last of the features' modules to be replaced, a transition.
        width: Channels within the encoder.
        quantized: Send 8 bits a number while evaluating.

    Returns:
        The model.

    Raises:
        WiringError: It is built in another way, or there is nothing after `last`.
    """
    names = [name for name, _ in resolve(model, "features").named_children()]
    following = _following(model, names, last)
    replaced = [f"features.{name}" for name in names[: names.index(last) + 1]]
    # A transition's pooling rounds an odd size down, the layers before it round up.
    halvings = ["transition" not in name for name in replaced if _halves(resolve(model, name))]
    inside, out = _channels(resolve(model, "features.conv0"), resolve(model, f"features.{following}"))
    made = SplitBottleneck(
        inside, out, channels=channels, halvings=halvings, width=width, relu=False, quantized=quantized
    )
    return with_bottleneck(model, made, replaced)


def _following(model: nn.Module, names: list[str], last: str) -> str:
    """The name after `last`."""
    if last not in names[:-1]:
        message = f"{type(model).__name__} cannot be replaced up to '{last}'"
        raise WiringError(str(Problem(message, hint=f"what can be last: {', '.join(names[:-1])}")))
    return names[names.index(last) + 1]


def _channels(first: nn.Module, following: nn.Module) -> tuple[int, int]:
    """How many channels go into the first convolution, and into the following module."""
    into = next(module for module in following.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d))
    if not isinstance(first, nn.Conv2d):
        message = f"the first module must be a Conv2d, not {type(first).__name__}"
        raise WiringError(message)
    return first.in_channels, into.in_channels if isinstance(into, nn.Conv2d) else into.num_features


def _halves(module: nn.Module) -> bool:
    """Whether it has a stride of two."""
    return any(getattr(part, "stride", 1) in (2, (2, 2)) for part in module.modules())
