"""A batch without data: what `distill check --deep` sends through the models."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

DataFunction = TypeVar("DataFunction", bound=Callable[..., Any])


def with_example(*shape: int, num_classes: int = 10) -> Callable[[DataFunction], DataFunction]:
    """Give a data function the attribute `example_batch`.

    That is a function with the same parameters; it returns a batch such as the loader's, on the meta device, and
    touches no data.

    Args:
        shape: (channels, height, width) of an image; a class label is its target.
        num_classes: How many classes there are: where images are mixed, the target is a probability of each.

    >>> @with_example(3, 32, 32)
    ... def numbers(split, *, batch_size): ...
    >>> numbers.example_batch("train", batch_size=64)["input"].shape
    torch.Size([64, 3, 32, 32])
    """

    def decorate(function: DataFunction) -> DataFunction:
        signature = inspect.signature(function)

        def example_batch(*arguments: Any, **keywords: Any) -> dict[str, Tensor]:
            """A batch of meta tensors, of as many samples as the loader's batches."""
            given = signature.bind(*arguments, **keywords).arguments
            images = torch.empty(given["batch_size"], *shape, device="meta")
            label = torch.empty(given["batch_size"], dtype=torch.long, device="meta")
            augment = given.get("augment") or _unchanged
            views = {name: (view or _unchanged)(images, label) for name, view in (given.get("views") or {}).items()}
            target = torch.empty(len(label), num_classes, device="meta") if given.get("mix") else label
            return {"input": augment(images, label), "target": target, "index": label.clone(), **views}

        vars(function)["example_batch"] = example_batch
        return function

    return decorate


def _unchanged(images: Tensor, seeds: Tensor) -> Tensor:
    del seeds
    return images
