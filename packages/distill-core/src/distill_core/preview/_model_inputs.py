"""Example inputs of a model that comes without data, guessed from what the model says about itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..tree import to_device

_TOKENS = (1, 16)
_IMAGENET, _CIFAR = 224, 32


@dataclass(frozen=True)
class ExampleInputs:
    """Inputs of a model on the meta device.

    Attributes:
        args: Inputs by position.
        kwargs: Inputs by name.
        source: Where the sizes come from, for the user.
    """

    args: tuple[Tensor | list[Tensor], ...]
    kwargs: Mapping[str, Tensor | list[Tensor]]
    source: str


def example_inputs(model: Any) -> ExampleInputs | None:
    """Return inputs of which a model says itself that they fit, or that its first layer accepts; None if it says nothing.

    timm's models have an `input_size`, those of transformers `dummy_inputs`, torchvision's detectors a `min_size`. For
    other models, the first layer decides: a convolution with a stride gets an image of 224 × 224 pixels, one without a
    stride 32 × 32 pixels, an embedding 16 tokens.

    >>> example_inputs(nn.Sequential(nn.Conv2d(3, 8, 3))).args[0].shape
    torch.Size([1, 3, 32, 32])
    """
    size = (getattr(model, "pretrained_cfg", None) or {}).get("input_size")
    if size is not None:
        return ExampleInputs((torch.empty(1, *size, device="meta"),), {}, "the input size of timm's configuration")
    dummy = getattr(model, "dummy_inputs", None)
    if isinstance(dummy, Mapping):
        accepted = inspect.signature(model.forward).parameters
        inputs = {name: value for name, value in dummy.items() if name in accepted}
        return ExampleInputs((), to_device(inputs, "meta"), "the dummy inputs of transformers")
    if type(model).__module__.startswith("torchvision.models.detection."):
        side = model.transform.min_size[-1]
        return ExampleInputs(([torch.empty(3, side, side, device="meta")],), {}, "the input size of torchvision")
    return _of_first_layer(model)


def _of_first_layer(model: nn.Module) -> ExampleInputs | None:
    for module in model.modules():
        kind = type(module).__name__
        if isinstance(module, nn.Conv2d):
            side = _IMAGENET if max(module.stride) > 1 else _CIFAR
            image = torch.empty(1, module.in_channels, side, side, device="meta")
            return ExampleInputs((image,), {}, f"a guess from the first layer, {kind}")
        if isinstance(module, nn.Linear):
            return ExampleInputs(
                (torch.empty(1, module.in_features, device="meta"),), {}, f"a guess from the first layer, {kind}"
            )
        if isinstance(module, nn.Embedding):
            tokens: Any = torch.empty(_TOKENS, dtype=torch.int64, device="meta")
            return ExampleInputs((tokens,), {}, f"a guess from the first layer, {kind}")
    return None
