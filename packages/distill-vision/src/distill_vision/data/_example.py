"""Example batches of images on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def example_of_images(*shape: int, num_classes: int = 10) -> Callable[..., dict[str, Tensor]]:
    """Return an example for `with_example`: images of one size and their classes.

    Args:
        shape: (channels, height, width) of an image.
        num_classes: Number of classes. If images are mixed, the target is a probability of each class.
    """

    def example(
        batch_size: int, augment: Any = None, views: Mapping[str, Any] | None = None, mix: Any = None
    ) -> dict[str, Tensor]:
        images = torch.empty(batch_size, *shape, device="meta")
        label = torch.empty(batch_size, dtype=torch.long, device="meta")
        seen = {name: view(images, label) if view else images for name, view in (views or {}).items()}
        target = torch.empty(batch_size, num_classes, device="meta") if mix else label
        return {
            "input": augment(images, label) if augment else images,
            "target": target,
            "index": label.clone(),
            **seen,
        }

    return example


def example_of_rows(batch_size: int, size: int, label: str | None) -> dict[str, Tensor]:
    """Build a batch of meta tensors of images whose labels are in a column, if there is one."""
    batch = example_of_images(3, size, size)(batch_size)
    return batch if label is not None else {name: batch[name] for name in ("input", "index")}
