"""Readers of samples by index, in this process or in persistent worker processes."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..errors import DataError
from ._bad_samples import Read, describe, read_or_replace
from ._seeds import preserve_rng_state
from ._worker_errors import ReturnErrors, raise_errors

SeededBatch = list[tuple[int, int]]
"""Index and seed of each sample."""


@dataclass(frozen=True)
class WorkerOptions:
    """Options of torch's `DataLoader` for its worker processes; they do not change what is read.

    Attributes:
        worker_init_fn: Called with the worker's index when a worker starts.
        pin_memory: Copy batches to page-locked memory if a GPU is available. Batches of a `TensorData` are not pinned.
        persistent_workers: Keep the workers from epoch to epoch. They keep their copy of the dataset and do not see later
            changes of it in this process.
        prefetch_factor: Number of batches that each worker reads ahead; the default is torch's.
        timeout: Seconds to wait for a batch; 0 disables the timeout.
        multiprocessing_context: Start method of the workers: `fork`, `spawn`, `forkserver` or a context.
    """

    worker_init_fn: Callable[[int], None] | None = None
    pin_memory: bool = True
    persistent_workers: bool = True
    prefetch_factor: int | None = None
    timeout: float = 0
    multiprocessing_context: Any = None

    def check(self, num_workers: int) -> None:
        """Check that options of workers are set only if there are workers.

        Raises:
            DataError: `num_workers` is negative, or 0 with an option that needs workers.
        """
        if num_workers < 0:
            message = f"num_workers must be at least 0, got {num_workers}"
            raise DataError(message)
        for name in ("prefetch_factor", "timeout", "multiprocessing_context"):
            if num_workers == 0 and getattr(self, name):
                message = f"{name}={getattr(self, name)!r} needs worker processes, but num_workers is 0"
                raise DataError(message, hint="give num_workers")


class SampleReader:
    """A reader of planned batches of samples, each sample with its seed.

    Args:
        samples: Reads a sample from its index and seed.
        collate: Function from a list of samples to a batch.
        num_workers: Number of worker processes that read ahead; 0 reads in this process.
        options: Options of the worker processes.
    """

    def __init__(
        self, samples: SeededSamples, collate: Callable[[list[Any]], Any], num_workers: int, options: WorkerOptions
    ) -> None:
        self._samples, self._collate = samples, collate
        self._num_workers, self._options = num_workers, options
        self._kept: tuple[_Planned, DataLoader[Any]] | None = None
        self._busy = False

    def read(self, batches: list[SeededBatch], seed: int) -> Iterator[Any]:
        """Read batches in order.

        Args:
            batches: Index and seed of each sample.
            seed: Seed of the workers' other generators, which are not seeded for each sample.
        """
        if self._num_workers == 0:
            return self._read_here(batches)
        if self._busy or not self._options.persistent_workers:
            return raise_errors(self._loader(_Planned(batches), seed, persistent=False))
        return self._read_kept(batches, seed)

    def close(self) -> None:
        """Stop the worker processes; reading starts new ones."""
        self._kept = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": None, "_busy": False}

    def _read_here(self, batches: list[SeededBatch]) -> Iterator[Any]:
        reading = iter(self._loader(_Planned(batches), 0, persistent=False))
        for _ in batches:
            with preserve_rng_state():
                batch = next(reading)
            yield batch

    def _read_kept(self, batches: list[SeededBatch], seed: int) -> Iterator[Any]:
        """Read with the running workers; torch discards the pending batches of an abandoned iteration."""
        self._busy = True
        try:
            if self._kept is None:
                planned = _Planned(batches)
                self._kept = planned, self._loader(planned, seed, persistent=True)
            self._kept[0].batches = batches
            yield from raise_errors(self._kept[1])
        except GeneratorExit:
            raise
        except BaseException:
            self.close()  # a worker may be dead
            raise
        finally:
            self._busy = False

    def _loader(self, planned: _Planned, seed: int, *, persistent: bool) -> DataLoader[Any]:
        options = {field.name: getattr(self._options, field.name) for field in fields(self._options)}
        options |= {
            "persistent_workers": persistent,
            "pin_memory": self._options.pin_memory and torch.cuda.is_available(),
            "worker_init_fn": functools.partial(_start_worker, self._options.worker_init_fn),
        }
        samples: Dataset[Any] = self._samples
        collate = self._collate
        if self._num_workers:
            samples = returning = ReturnErrors(samples, collate)
            collate = returning.collate
        return DataLoader(
            samples,
            batch_sampler=planned,
            num_workers=self._num_workers,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(seed),  # otherwise a loader draws from the global one
            **options,
        )


def _start_worker(init: Callable[[int], None] | None, worker: int) -> None:
    """Call the user's function for a worker that starts; end the worker if the process that started it is gone.

    torch watches for a change of the parent from here on, so a worker whose parent has died before would run forever.
    """
    if init is not None:
        init(worker)
    parent = multiprocessing.parent_process()
    is_child = type(multiprocessing.current_process()).__name__ != "ForkServerProcess"
    if parent is not None and is_child and os.getppid() != parent.pid:
        os._exit(1)


class _Planned:
    """A batch sampler whose batches can be replaced."""

    def __init__(self, batches: list[SeededBatch]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[SeededBatch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class SeededSamples(Dataset[Any]):
    """A dataset that seeds Python, NumPy and torch for each sample, in this process and in workers.

    Args:
        dataset: The samples.
        replacements: The indices that may replace an unreadable sample; None raises instead.
    """

    def __init__(self, dataset: Any, replacements: Any = None) -> None:
        self.dataset = dataset
        self.replacements = replacements

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, seeded: tuple[int, int]) -> Any:
        index, seed = seeded
        if self.replacements is not None:
            return read_or_replace(lambda tried: self._read(tried, seed), index, self.dataset, self.replacements)
        try:
            return self._read(index, seed)
        except Exception as error:
            error.add_note(f"while reading {describe(self.dataset, index)}")
            raise

    def _read(self, index: int, seed: int) -> Any:
        random.seed(seed)
        np.random.seed(seed & 0xFFFFFFFF)
        torch.default_generator.manual_seed(seed)
        return self.dataset[index]


class CollateReads:
    """A collate function that also returns the indices of the samples and the unreadable ones."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, reads: list[Read]) -> tuple[Any, list[tuple[int, dict[int, str]]]]:
        return self.collate([read.sample for read in reads]), [(read.index, read.bad) for read in reads]
