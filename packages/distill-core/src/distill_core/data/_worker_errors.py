"""Errors for the user on their way from a worker process.

torch replaces an exception of a worker with one whose message is the traceback. A `DistillError` is returned as a value
instead, and raised in the main process with its records and notes.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch.utils.data import Dataset, IterableDataset

from ..errors import DistillError


class WorkerError:
    """An error of a worker, in place of a sample or a batch.

    Args:
        error: The error; it is being handled.
    """

    def __init__(self, error: DistillError) -> None:
        self.error, self.traceback = error, traceback.format_exc()


class ReturnErrors(Dataset[Any]):
    """A dataset, and the collate function for its samples, that return a `WorkerError` instead of raising it."""

    def __init__(self, samples: Any, collate: Callable[[list[Any]], Any]) -> None:
        self._samples, self._collate = samples, collate

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: Any) -> Any:
        try:
            return self._samples[index]
        except DistillError as error:
            return WorkerError(error)

    def collate(self, samples: list[Any]) -> Any:
        """Return the batch of the samples, or the first error."""
        failed = next((sample for sample in samples if isinstance(sample, WorkerError)), None)
        if failed is not None:
            return failed
        try:
            return self._collate(samples)
        except DistillError as error:
            return WorkerError(error)


class YieldErrors(IterableDataset[Any]):
    """A stream that yields a `WorkerError` instead of raising it."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._items
        except DistillError as error:
            yield WorkerError(error)


def raise_errors(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches of workers.

    Raises:
        DistillError: A worker returned it; its cause shows the traceback in the worker.
    """
    for batch in batches:
        if isinstance(batch, WorkerError):
            raise batch.error from RuntimeError(f"in a worker process:\n{batch.traceback}")
        yield batch
