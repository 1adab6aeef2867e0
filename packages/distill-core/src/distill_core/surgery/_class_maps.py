"""CAT-KD's conversion: the classifier moves before the pooling, as a 1×1 convolution that gives class activation maps."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import WiringError
from ..hooks import resolve

Model = TypeVar("Model", bound=nn.Module)


def with_class_maps(model: Model, pool: str = "avgpool", head: str = "fc") -> Model:
    """Change the model in place so that its class activation maps can be tapped (`student.avgpool.maps`).

    The mean over positions and a linear classifier commute, so the logits do not change, even while the
    model trains. The state dict is that of the plain model: `fc.weight` has the shape of a linear layer, so the weights
    of a run load into an unchanged model and vice versa.

    Args:
        model: A model whose features are pooled, flattened and passed to the classifier.
        pool: Path of the pooling, an `nn.AdaptiveAvgPool2d` to one position.
        head: Path of the classifier, an `nn.Linear`.

    Returns:
        The model, with the classifier in `pool.maps`, the pooling in `pool.pool` and an identity at `head`.

    Raises:
        WiringError: If the module does not exist or has another type.

    >>> model = nn.Sequential(OrderedDict(avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(3, 2)))
    >>> features = torch.randn(4, 3, 5, 5)
    >>> logits = model(features)
    >>> torch.allclose(with_class_maps(model)(features), logits, atol=1e-6)
    True
    """
    pooling, linear = global_pooling(model, pool), linear_head(model, head)
    maps = nn.Conv2d(
        linear.in_features,
        linear.out_features,
        kernel_size=1,
        bias=linear.bias is not None,
        device=linear.weight.device,
        dtype=linear.weight.dtype,
    )
    _fill(maps, linear)
    model.set_submodule(pool, nn.Sequential(OrderedDict(maps=maps, pool=pooling)))
    model.set_submodule(head, nn.Identity())
    names = {f"{pool}.maps.{name}": f"{head}.{name}" for name, _ in maps.named_parameters()}
    model.register_state_dict_post_hook(functools.partial(_to_plain, names))  # type: ignore[no-untyped-call]
    model.register_load_state_dict_pre_hook(functools.partial(_from_plain, names))  # type: ignore[no-untyped-call]
    return model.train(model.training)


def without_class_maps(model: Model, pool: str = "avgpool", head: str = "fc") -> Model:
    """Undo `with_class_maps` in place, keeping the classifier's current weights.

    Raises:
        WiringError: If the model has no class activation maps there.

    >>> model = nn.Sequential(OrderedDict(avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(3, 2)))
    >>> list(without_class_maps(with_class_maps(model)).state_dict())
    ['fc.weight', 'fc.bias']
    """
    converted = resolve(model, pool)
    maps = getattr(converted, "maps", None)
    if not isinstance(converted, nn.Sequential) or not isinstance(maps, nn.Conv2d):
        message = f"{type(model).__name__}.{pool} has no class activation maps"
        raise WiringError(message, hint="with_class_maps makes them")
    linear = nn.Linear(
        maps.in_channels,
        maps.out_channels,
        bias=maps.bias is not None,
        device=maps.weight.device,
        dtype=maps.weight.dtype,
    )
    _fill(linear, maps)
    model.set_submodule(pool, resolve(converted, "pool"))
    model.set_submodule(head, linear)
    return model.train(model.training)


def global_pooling(model: nn.Module, path: str) -> nn.AdaptiveAvgPool2d:
    """Return the pooling at `path`.

    Raises:
        WiringError: If it is not an average over all positions.
    """
    module = resolve(model, path)
    if not isinstance(module, nn.AdaptiveAvgPool2d) or module.output_size not in {1, (1, 1)}:
        message = f"{type(model).__name__}.{path} must be an AdaptiveAvgPool2d to one position, got {module}"
        raise WiringError(message)
    return module


def linear_head(model: nn.Module, path: str) -> nn.Linear:
    """Return the classifier at `path`.

    Raises:
        WiringError: If it is not linear.
    """
    module = resolve(model, path)
    if not isinstance(module, nn.Linear):
        message = f"{type(model).__name__}.{path} must be a Linear, got {type(module).__name__}"
        raise WiringError(message)
    return module


def _to_plain(names: dict[str, str], _model: nn.Module, state: dict[str, Tensor], prefix: str, _local: Any) -> None:
    """Convert the classifier's tensors to linear-layer shape. No-op for a model that was changed back."""
    for mine, plain in names.items():
        if prefix + mine in state:
            value = state.pop(prefix + mine)
            state[prefix + plain] = value.flatten(1) if value.dim() > 1 else value


def _from_plain(names: dict[str, str], model: nn.Module, state: dict[str, Tensor], prefix: str, *_others: Any) -> None:
    """Convert linear-layer shapes back for a model that has maps. Inverse of `_to_plain`."""
    own = dict(model.named_parameters())
    for mine, plain in names.items():
        if mine in own and prefix + plain in state:
            value = state.pop(prefix + plain)
            state[prefix + mine] = value[:, :, None, None] if value.dim() > 1 else value


@torch.no_grad()
def _fill(new: nn.Conv2d | nn.Linear, old: nn.Conv2d | nn.Linear) -> None:
    """Copy weights into another shape and keep `requires_grad`."""
    new.weight.copy_(old.weight.view(new.weight.shape))
    new.weight.requires_grad_(old.weight.requires_grad)
    if new.bias is not None and old.bias is not None:
        new.bias.copy_(old.bias)
        new.bias.requires_grad_(old.bias.requires_grad)
