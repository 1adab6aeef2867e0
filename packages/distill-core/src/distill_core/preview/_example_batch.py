"""Batches without data: from a data function's own example, or from a few samples that are read."""

from __future__ import annotations

import contextlib
import copy
import functools
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data import BatchPlan, Loader, SeedPath, TensorData, WorkerOptions, as_loader
from ..errors import DataError, DistillError
from ..tree import map_tensors

NUM_SAMPLES = 2
"""How many samples of a dataset are read; a batch repeats them."""
MAX_REAL = 1024
"""How many floating-point numbers a tensor of a batch may have to be kept."""


def example_batch(loader: Any, seed_path: SeedPath | None = None) -> dict[str, Any]:
    """Return a batch such as the loader's, on the meta device but for small tensors, which models may look into.

    Args:
        loader: A loader, or a `partial` that would make one.
        place: The epoch whose first samples are read.

    Raises:
        DataError: The dataset cannot be built, or its samples cannot be read or made a batch.
    """
    example = getattr(getattr(loader, "func", None), "example_batch", None)
    try:
        if example is not None:
            with torch.device("meta"):
                batch: dict[str, Any] = example(*loader.args, **loader.keywords)
                return batch
        batch = _first_batch(loader_of(loader), seed_path or SeedPath())
    except DistillError:
        raise
    except Exception as error:
        reason = ", ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
        message = f"a first batch cannot be read, so nothing that takes it was checked: {' '.join(reason.split())}"
        raise DataError(message) from error
    return {name: map_tensors(value, _without_data) for name, value in batch.items()}


def loader_of(data: Any) -> Loader | None:
    """Return the loader itself, with its data; None if there is only an example of them."""
    if hasattr(getattr(data, "func", None), "example_batch"):
        return None
    return as_loader(data() if isinstance(data, functools.partial) else data)


def _first_batch(original: Loader | None, seed_path: SeedPath) -> dict[str, Any]:
    """Return a batch of a loader, read in this process; slow datasets are asked for few samples."""
    loader: Any = copy.copy(original)
    loader.num_workers, loader.workers = 0, WorkerOptions()
    if not isinstance(loader.dataset, TensorData):
        few = type(type(loader.dataset).__name__, (_FewSamples,), {})  # errors name the dataset itself
        loader.dataset = few(loader.dataset)
    plan = loader.plan(seed_path)
    return next(iter(loader.batches(seed_path, plan=BatchPlan(plan.indices[:1], plan.global_sizes[:1]))))


class _FewSamples(Dataset[Any]):
    """The first samples that are read, again and again in the place of all others."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._samples: list[Any] = []
        self._num_reads = 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # a copy that has nothing yet
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitem__(self, index: Any) -> Any:
        if len(self._samples) < NUM_SAMPLES:
            self._samples.append(self.dataset[index])
        sample = self._samples[self._num_reads % len(self._samples)]
        self._num_reads += 1
        with contextlib.suppress(Exception):  # not everything can be copied; a collate function may change its samples
            return copy.deepcopy(sample)
        return sample


def _without_data(tensor: Tensor) -> Tensor:
    """Numbers that a model may look into, such as masks, boxes and labels, are kept; images are not."""
    if not tensor.is_floating_point() or tensor.numel() <= MAX_REAL:
        return tensor
    with contextlib.suppress(RuntimeError):  # nested and sparse tensors stay as they are
        return tensor.to("meta")
    return tensor
