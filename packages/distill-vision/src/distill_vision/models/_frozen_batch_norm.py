"""Batch norms of fixed statistics and weights, as in torchvision's detectors with weights."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Model = TypeVar("Model", bound=nn.Module)


def freeze_batch_norms(model: Model, eps: float | None = None) -> Model:
    """Replace each `BatchNorm2d` by a `FrozenBatchNorm2d` with the same tensors, in place.

    Torchvision builds its first detectors with such layers if it loads their weights, and with batch norms otherwise. Apply
    this to a detector before `load_weights` reads the same weights from a file.

    Args:
        model: The model.
        eps: ε of the new layers; by default that of the replaced ones. It is 0 for `COCO_V1` of the detectors on ResNet-50.

    Returns:
        The model.

    >>> freeze_batch_norms(nn.Sequential(nn.BatchNorm2d(4)), eps=0.0)
    Sequential(
      (0): FrozenBatchNorm2d(4, eps=0.0)
    )
    """
    from torchvision.ops import FrozenBatchNorm2d

    for path, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d) and path:
            frozen = FrozenBatchNorm2d(module.num_features, module.eps if eps is None else eps)
            state = module.state_dict()
            frozen.load_state_dict({name: state[name] for name in frozen.state_dict()})
            model.set_submodule(path, frozen)
    return model
