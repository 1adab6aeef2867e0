"""Transforms of single images as an augmentation of batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor


@final
class PerImage:
    """Applies a transform to each image of a batch, with the seed of the sample.

    For example the transforms of torchvision, such as `torchvision.transforms.v2.RandAugment`. They are slower than batch
    augmentations.

    Args:
        transform: Function from an image (channels, height, width) to an image; its randomness comes from torch's generator.

    >>> turn = PerImage(lambda image: image.flip(2))
    >>> turn(torch.tensor([[[[1, 2]]]]), torch.tensor([7])).tolist()
    [[[[2, 1]]]]
    """

    def __init__(self, transform: Callable[[Tensor], Tensor]) -> None:
        self.transform = transform

    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Transform images (batch, channels, height, width), each with its seed of (batch,) int64."""
        if images.is_meta:
            return images
        transformed = []
        with torch.random.fork_rng(devices=[]):
            for image, seed in zip(images, seeds.tolist(), strict=True):
                torch.default_generator.manual_seed(seed)
                transformed.append(self.transform(image))
        return torch.stack(transformed)
