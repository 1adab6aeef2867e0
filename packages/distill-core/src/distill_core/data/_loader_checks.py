"""Checks of the arguments of a loader."""

from __future__ import annotations

from typing import Any

from torch.utils.data import IterableDataset

from ..errors import DataError


def check_dataset(dataset: Any) -> None:
    """Check that a dataset can be read by index.

    Raises:
        DataError: It has no length or no samples.
    """
    kind = type(dataset).__name__
    if isinstance(dataset, IterableDataset):
        message = (
            f"{kind} is an iterable dataset: a loader reads samples by index, so it needs `__getitem__` and `__len__`"
        )
        raise DataError(message, hint="give a distill_core.data.Stream instead")
    if not hasattr(dataset, "__len__"):
        message = f"{kind} has no length: a loader reads samples by index, so the dataset needs one"
        raise DataError(message)
    if len(dataset) == 0:
        message = f"{kind} has no samples"
        raise DataError(message)


def check_batches(batch_size: int | None, batch_sampler: Any, *, drop_last: bool, repeats: int) -> None:
    """Check that the arguments that decide the batches fit together.

    Raises:
        DataError: One is missing, too small or excluded by a batch sampler.
    """
    if batch_sampler is not None:
        given = {"batch_size": batch_size is not None, "drop_last": drop_last, "repeats": repeats != 1}
        if excluded := [name for name, is_given in given.items() if is_given]:
            message = f"batch_sampler decides the batches, so {' and '.join(excluded)} cannot be given with it"
            raise DataError(message)
        return
    if batch_size is None:
        message = "batch_size is missing"
        raise DataError(message, hint="give batch_size or batch_sampler")
    if batch_size < 1:
        message = f"batch_size must be at least 1, got {batch_size}"
        raise DataError(message)
    if repeats < 1 or batch_size % repeats:
        message = f"batch_size must be a multiple of repeats, got batch_size={batch_size} and repeats={repeats}"
        raise DataError(message)
