"""The standard augmentation of CIFAR."""

from __future__ import annotations

from torch import Tensor

from ._compose import Compose
from ._horizontal_flip import horizontal_flip
from ._random_crop import random_crop

_STEPS = Compose([random_crop, horizontal_flip])


def crop_and_flip(images: Tensor, seeds: Tensor) -> Tensor:
    """Shift each image by up to 4 pixels over black, and mirror it with probability 0.5.

    Chen-Yu Lee, Saining Xie, Patrick Gallagher, Zhengyou Zhang, Zhuowen Tu. "Deeply-Supervised Nets." AISTATS 2015.
    https://arxiv.org/abs/1409.5185

    Args:
        images: (batch, channels, height, width), before normalisation.
        seeds: (batch,) int64.

    Returns:
        (batch, channels, height, width), a new tensor.
    """
    return _STEPS(images, seeds)
