"""Conversion of tapped features to the layout that a `Feature` asks for, and the layouts of known families of models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from .errors import WiringError
from .feature import Feature, Layout
from .hooks import unwrap
from .layers import map_from_nhwc, map_to_tokens, resize_map, tokens_to_map
from .taps import Tap

_CONVOLUTIONAL = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


def adapt(value: Any, feature: Feature) -> Tensor:
    """Return a tensor in the layout that `feature` asks for.

    A map is returned in `torch.channels_last` memory format, which marks it as channels-first for the checks of losses.

    Args:
        value: (batch, channels, height, width), (batch, height, width, channels), (batch, tokens, channels), (batch,
            channels) or (batch, channels, frames, height, width).
        feature: What to convert to.

    Raises:
        WiringError: The tensor does not have the given layout, or its layout is not known and two fit.

    >>> adapt(torch.zeros(2, 7, 7, 96), Feature("teacher.layers.2", as_="map", layout="nhwc")).shape
    torch.Size([2, 96, 7, 7])
    """
    if not isinstance(value, Tensor):
        message = f"'{feature.tap}' is a {type(value).__name__}, a tensor is needed for `as`"
        raise WiringError(message, hint="name one of its fields in the tap, as in 'model.layer:out.0'")
    if value.dim() == 2 and feature.as_ == "vector":
        return value
    if value.dim() == 5 and feature.as_ == "vector":
        return value.mean((2, 3, 4))
    try:
        return _converted(value, feature)
    except ValueError as error:
        message = f"'{feature.tap}' {tuple(value.shape)} cannot be read as {feature.as_}: {error}"
        raise WiringError(message) from error


def _converted(value: Tensor, feature: Feature) -> Tensor:
    layout = _layout_of(value, feature)
    if layout == "tokens" and feature.size is None and feature.as_ != "map":
        patches = value[:, feature.num_prefix_tokens or 0 :]
        return patches if feature.as_ == "tokens" else patches.mean(1)
    pair = None if feature.grid is None else (feature.grid[0], feature.grid[1])
    if layout == "tokens":
        found = tokens_to_map(value, feature.num_prefix_tokens, pair)
    else:
        found = map_from_nhwc(value) if layout == "nhwc" else value
    if feature.size is not None:
        found = resize_map(found, (feature.size[0], feature.size[1]), feature.resize)
    if feature.as_ == "map":
        return found.contiguous(memory_format=torch.channels_last)
    return map_to_tokens(found) if feature.as_ == "tokens" else found.mean((2, 3))


def _layout_of(value: Tensor, feature: Feature) -> Layout:
    """Return the layout of a tensor.

    Raises:
        ValueError: The tensor cannot have the given layout, or two layouts fit.
    """
    dims = 3 if feature.layout == "tokens" else 4
    if feature.layout is not None and value.dim() != dims:
        message = f"`layout: {feature.layout}` has {dims} dimensions, got {value.dim()}"
        raise ValueError(message)
    if feature.layout is not None:
        return feature.layout
    if value.dim() == 3:
        return "tokens"
    if value.dim() != 4:
        message = "a map has 4 dimensions and a sequence 3"
        raise ValueError(message)
    _, one, two, three = value.shape
    if two == three or (not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)):
        return "nchw"
    message = f"it may be {two}×{three} pixels channels-first or {one}×{two} pixels channels-last: give `layout: nchw` or `layout: nhwc`"
    raise ValueError(message)


def with_known_layout(feature: Feature, model: nn.Module) -> Feature:
    """Return the feature with what its model says about omitted fields: layout, number of prefix tokens, grid.

    Known are the models of timm, by `output_fmt`, `num_prefix_tokens` and `patch_embed.grid_size`, and torchvision's. A
    model inside another is found too.

    Args:
        feature: The feature.
        model: The model that its tap names.
    """
    tap = Tap.parse(feature.tap)
    if tap.port not in {"out", "in"}:
        return feature
    modules = list(_along(model, tap.path))
    for depth, module in enumerate(modules):
        package = type(module).__module__
        if package.startswith(("timm.models.", "torchvision.models.")):
            inner = tap.path.split(".")[depth:] if tap.path else []
            if package.startswith("timm."):
                return _of_timm(feature, module, modules[-1], inner)
            return _of_torchvision(feature, module, modules[-1], inner)
    return feature


def _along(model: nn.Module, path: str) -> Iterator[nn.Module]:
    """Yield the modules from the model to the one at `path`, as far as they exist."""
    module: Any = unwrap(model)
    yield module
    for part in path.split(".") if path else ():
        index = part.lstrip("-").isdecimal() and part.startswith("-")
        module = module[int(part)] if index else getattr(module, part, None)
        if not isinstance(module, nn.Module):
            return
        module = unwrap(module)
        yield module


def _of_timm(feature: Feature, model: nn.Module, tapped: nn.Module, path: list[str]) -> Feature:
    prefix = getattr(model, "num_prefix_tokens", None)
    if isinstance(prefix, int) and not isinstance(tapped, nn.Conv2d):
        embed = getattr(model, "patch_embed", None)
        before_class_token = path[:1] == ["patch_embed"]
        dynamic = getattr(model, "dynamic_img_size", False)
        return _filled(
            feature, None, 0 if before_class_token else prefix, None if dynamic else getattr(embed, "grid_size", None)
        )
    is_last = getattr(model, "output_fmt", "NCHW") == "NHWC" and not isinstance(tapped, _CONVOLUTIONAL)
    return _filled(feature, "nhwc" if is_last else _convolutional(tapped), None, None)


def _of_torchvision(feature: Feature, model: nn.Module, tapped: nn.Module, path: list[str]) -> Feature:
    kind = type(model).__name__
    if kind == "VisionTransformer" and path[:1] == ["encoder"]:
        side = cast(Any, model).image_size // cast(Any, model).patch_size
        return _filled(feature, None, 1, (side, side))
    if kind == "SwinTransformer" and path[:1] in (["features"], ["norm"]):
        return _filled(feature, "nchw" if isinstance(tapped, _CONVOLUTIONAL) else "nhwc", None, None)
    if kind in {"VisionTransformer", "SwinTransformer", "MaxVit", "ConvNeXt"}:
        return _filled(feature, _convolutional(tapped), None, None)
    return _filled(feature, "nchw", None, None)


def _convolutional(tapped: nn.Module) -> Layout | None:
    """Return `nchw` if a module returns channels-first maps by its type or that of its parts."""
    if isinstance(tapped, _CONVOLUTIONAL):
        return "nchw"
    kinds = {type(module) for module in tapped.modules()}
    return "nchw" if any(issubclass(kind, nn.BatchNorm2d) for kind in kinds) else None


def _filled(feature: Feature, layout: Layout | None, prefix: int | None, grid: tuple[int, int] | None) -> Feature:
    return replace(
        feature,
        layout=feature.layout or layout,
        num_prefix_tokens=feature.num_prefix_tokens if feature.num_prefix_tokens is not None else prefix,
        grid=feature.grid or grid,
    )
