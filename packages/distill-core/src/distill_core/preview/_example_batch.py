"""Example batches: from a data function's own example, or from a few samples of a dataset."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import torch
from torch import Tensor

from ..data import Loader, SeedPath, as_loader
from ..errors import DataError, DistillError
from ..tree import map_tensors

NUM_SAMPLES = 2
"""Number of samples that are read from a dataset; a batch repeats them."""
MAX_REAL = 1024
"""Number of floating-point values up to which a tensor of a batch keeps its data."""


def example_batch(loader: Any, seed_path: SeedPath | None = None) -> dict[str, Any]:
    """Return a batch like those of a loader, on the meta device except for small tensors, whose values models may read.

    Args:
        loader: A loader, or a `partial` that creates one.
        seed_path: The epoch whose first samples are read.

    Raises:
        DataError: The dataset cannot be built, or its samples cannot be read or collated.
    """
    example = getattr(getattr(loader, "func", None), "example_batch", None)
    try:
        if example is not None:
            with torch.device("meta"):
                batch: dict[str, Any] = example(*loader.args, **loader.keywords)
                return batch
        built: Any = loader_of(loader)
        batch = built.preview_batch(seed_path or SeedPath(), NUM_SAMPLES)
    except DistillError:
        raise
    except Exception as error:
        reason = ", ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
        message = f"a first batch cannot be read, so nothing that takes it was checked: {' '.join(reason.split())}"
        raise DataError(message) from error
    return {name: map_tensors(value, _without_data) for name, value in batch.items()}


def loader_of(data: Any) -> Loader | None:
    """Return the loader with its data; None if only an example of its batches exists."""
    if hasattr(getattr(data, "func", None), "example_batch"):
        return None
    return as_loader(data() if isinstance(data, functools.partial) else data)


def _without_data(tensor: Tensor) -> Tensor:
    """Return a tensor on the meta device, unless models may read its values, as of masks, boxes and labels."""
    if not tensor.is_floating_point() or tensor.numel() <= MAX_REAL:
        return tensor
    with contextlib.suppress(RuntimeError):  # nested and sparse tensors keep their data
        return tensor.to("meta")
    return tensor
