"""A loader of batches whose order is a function of seed, stage and epoch."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate as default_collate

from ..distributed import rank, world_size
from ..errors import DataError
from ._bad_samples import BadSamples
from ._batch_fields import named, without_index
from ._loader_checks import check_batches, check_dataset
from ._order import Order
from ._plan import BatchPlan, cut_batches, cut_evenly
from ._reader import CollateReads, SampleReader, SeededSamples, WorkerOptions
from ._seeds import SeedPath, derive_seed, occurrences, preserve_rng_state, sample_seeds
from ._tensors import TensorData


class Loader:
    """A loader that reads a map-style dataset in batches, each a `dict` of fields that includes the samples' `index`.

    A field may be any nesting of mappings, lists, tuples, named tuples and dataclasses (see `distill_core.tree`).

    Args:
        dataset: A dataset with a length. `dataset[i]` is a tuple (named by `fields`) or a mapping. A `TensorData` is read
            one batch at a time.
        batch_size: Number of samples per batch *and process*. Omit it with `batch_sampler`; it is then the size of the
            largest batch of the first epoch.
        shuffle: Use a new order in each epoch. By default, samples are read in the order of the dataset.
        sampler: Yields the indices of an epoch, as many as its `len`: a sampler of torch or your own. Each epoch iterates
            over a new copy of it. Its generators and the global ones are seeded with seed, stage and epoch, and
            `set_epoch` is called with the epoch, from 0. Repeated samples are augmented differently each time.
        batch_sampler: Yields lists of indices, each list a batch of any size. Processes take complete batches in turn.
        weights: (samples,) relative probability of each sample. An epoch draws `len(dataset)` samples with replacement.
        num_workers: Number of worker processes that read ahead; 0 reads in this process. The result is the same.
        workers: Options of the worker processes.
        drop_last: Drop the last batch if it is not full.
        collate: Function from a list of samples to a batch (a tuple or a mapping); the default is torch's
            `default_collate`.
        fields: Names for the parts of a tuple. Mappings and dataclasses have their own names, and so has a named tuple that
            contains all of these.
        max_bad_samples: Number of unreadable samples to tolerate. Each is replaced by a sample chosen from its index alone,
            and `index` of the batch has the replacement. One more raises `DataError`.
        mix: Function of a batch and the seeds of its samples (batch,) that returns the batch to train on, such as Mixup.
            It runs in this process, so the number of workers does not matter.
        repeats: Number of times that each sample is in its batch, each time with another augmentation. The length of an
            epoch does not change, so an epoch shows 1/`repeats` of the data. (Maxim Berman et al. "MultiGrain". 2019.
            https://arxiv.org/abs/1902.05509; Elad Hoffer et al. "Augment Your Batch". CVPR 2020.
            https://arxiv.org/abs/1901.09335)

    Raises:
        DataError: The dataset is empty or has no length, arguments exclude each other, or `batch_size` is not a multiple
            of `repeats`. Reading raises it if the dataset has a field called `index`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = None,
        *,
        shuffle: bool = False,
        sampler: Any = None,
        batch_sampler: Any = None,
        weights: Sequence[float] | Tensor | None = None,
        num_workers: int = 0,
        workers: WorkerOptions | None = None,
        drop_last: bool = False,
        collate: Callable[[list[Any]], Any] | None = None,
        fields: Sequence[str] = ("input", "target"),
        max_bad_samples: int = 0,
        mix: Callable[[dict[str, Any], Tensor], dict[str, Any]] | None = None,
        repeats: int = 1,
    ) -> None:
        check_dataset(dataset)
        check_batches(batch_size, batch_sampler, drop_last=drop_last, repeats=repeats)
        if isinstance(dataset, TensorData) and collate not in (None, default_collate):
            message = "a TensorData is read one batch at a time, so `collate` would never be called"
            raise DataError(message, hint="omit it")
        self.dataset = dataset
        self._order = Order(dataset, shuffle=shuffle, sampler=sampler, batch_sampler=batch_sampler, weights=weights)
        self.num_workers = num_workers
        self.workers = workers or WorkerOptions()
        self.workers.check(num_workers)
        self.drop_last = drop_last
        self.collate = collate or default_collate
        self.fields = tuple(fields)
        self.bad_samples = BadSamples(max_bad_samples) if max_bad_samples else None
        self.mix = mix
        self.repeats = repeats
        self._batch_size = batch_size
        self._reader: tuple[tuple[Any, ...], SampleReader] | None = None

    @property
    def num_samples(self) -> int:
        """The number of samples of the dataset."""
        return len(self.dataset)

    @property
    def samples_per_epoch(self) -> int:
        """The number of samples that an epoch draws, over all processes."""
        return len(self._order)

    @property
    def batch_size(self) -> int:
        """The number of samples per batch and process; with a batch sampler, the size of the largest batch."""
        return max(self._order.first_sizes) if self._batch_size is None else self._batch_size

    @property
    def shuffle(self) -> bool:
        """True if each epoch has a new order of all samples."""
        return self._order.shuffle

    @property
    def sampler(self) -> Any:
        """The sampler, if one is set."""
        return self._order.sampler

    @property
    def batch_sampler(self) -> Any:
        """The batch sampler, if one is set."""
        return self._order.batch_sampler

    @property
    def weights(self) -> Tensor | None:
        """The weights of the samples (samples,), if they are set."""
        return self._order.weights

    def __len__(self) -> int:
        """Return the number of batches per process and epoch."""
        if self.batch_sampler is not None:
            return -(-len(self.batch_sampler) // world_size())
        size = self.batch_size * world_size()
        return self.samples_per_epoch // size if self.drop_last else -(-self.samples_per_epoch // size)

    def num_training_batches(self) -> int:
        """Return the number of batches per process and epoch in training, where none may be empty."""
        if self.batch_sampler is not None:
            full, rest = divmod(len(self.batch_sampler), world_size())
            return full + (rest > 0 and sum(self._order.first_sizes[-rest:]) >= world_size())
        size = self.batch_size * world_size()
        full, rest = divmod(self.samples_per_epoch, size)
        return full + (rest >= world_size() and not self.drop_last)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.batches(SeedPath())

    def order(self, seed_path: SeedPath) -> Tensor:
        """Return the indices of an epoch in order, each of them `repeats` times."""
        order, sizes = self._order.draw(seed_path)
        if self.repeats == 1 or sizes is not None:
            return order
        return order[: -(-len(order) // self.repeats)].repeat_interleave(self.repeats)[: len(order)]

    def plan(self, seed_path: SeedPath, *, even: bool = False, order: Tensor | None = None) -> BatchPlan:
        """Return what this process reads in an epoch.

        `batch_size · processes` successive samples form one global batch, split evenly among the processes. So several
        processes train on the batches of a single process with the larger batch size. With a batch sampler, a global
        batch consists of one batch per process.

        Args:
            seed_path: The epoch.
            even: Give every process the same number of batches, none of them empty, as training needs: a last global
                batch of fewer samples than processes is dropped.
            order: The samples in the order in which they are split; the default is `order(seed_path)`.
        """
        processes, process = world_size(), rank()
        if self.batch_sampler is None:
            drawn = self.order(seed_path)
            cuts = cut_evenly(len(drawn), self.batch_size, processes, drop_last=self.drop_last)
        else:
            drawn, sizes = self._order.draw(seed_path)
            cuts = cut_batches(sizes or [], processes)
        if even and cuts and cuts[-1][-1] - cuts[-1][0] < processes:
            cuts.pop()
        if even and self.batch_sampler is not None and len(cuts) != self.num_training_batches():
            message = (
                f"{type(self.batch_sampler).__name__} gives each process {len(cuts)} batches in epoch {seed_path.epoch + 1}, but "
                f"{self.num_training_batches()} in the first"
            )
            raise DataError(message)
        kept = [cut for cut in cuts if cut[process] < cut[process + 1]]
        order = drawn if order is None else order
        times = self._times(drawn)
        return BatchPlan(
            [order[cut[process] : cut[process + 1]] for cut in kept],
            [cut[-1] - cut[0] for cut in kept],
            [times[cut[process] : cut[process + 1]] for cut in kept] if times is not None else [],
        )

    def times(self, seed_path: SeedPath) -> Tensor | None:
        """Return how often each sample of an epoch occurred earlier in it (samples,); None if each occurs once."""
        return self._times(self.order(seed_path))

    def _times(self, order: Tensor) -> Tensor | None:
        if self.repeats == 1 and self._order.is_permutation:
            return None
        times = occurrences(order)
        return times if self.repeats > 1 or bool(times.any()) else None

    def batches(
        self, seed_path: SeedPath, *, start: int = 0, plan: BatchPlan | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the batches of an epoch from index `start`; the default plan is `plan(seed_path)`."""
        plan = plan or self.plan(seed_path)
        indices = plan.indices[start:]
        if not indices:
            return
        times = torch.cat(list(plan.repeats[start:])) if plan.repeats else None
        seeds = torch.split(sample_seeds(seed_path, torch.cat(list(indices)), times), [len(index) for index in indices])
        for batch, seed in zip(self._read(indices, seeds, seed_path), seeds, strict=True):
            yield batch if self.mix is None else self.mix(batch, seed)

    def preview_batch(self, seed_path: SeedPath, num_samples: int) -> dict[str, Any]:
        """Return the first batch of an epoch, filled by repeating a few of its samples; it is read in this process.

        Args:
            seed_path: The epoch.
            num_samples: Number of samples to read. A `TensorData` is read as usual.
        """
        index = self.plan(seed_path).indices[0]
        seeds = sample_seeds(seed_path, index)
        if isinstance(self.dataset, TensorData):
            batch = next(self._read([index], [seeds], seed_path))
        else:
            batch = named(self._repeated(index, seeds, num_samples), self.fields, self.dataset) | {"index": index}
        return batch if self.mix is None else self.mix(batch, seeds)

    def close(self) -> None:
        """Stop the worker processes; reading starts new ones."""
        self._reader = None

    def _read(
        self, indices: Sequence[Tensor], seeds: Sequence[Tensor], seed_path: SeedPath
    ) -> Iterator[dict[str, Any]]:
        """Yield the batches of these samples, each sample with its seed."""
        if isinstance(self.dataset, TensorData):
            for index, seed in zip(indices, seeds, strict=True):
                yield without_index(self.dataset.batch(index, seed), self.dataset) | {"index": index}
            return
        seeded = [
            list(zip(index.tolist(), seed.tolist(), strict=True)) for index, seed in zip(indices, seeds, strict=True)
        ]
        reading = self._sample_reader().read(seeded, derive_seed(seed_path.seed, seed_path.stage, seed_path.epoch))
        for index, batch in zip(indices, reading, strict=True):
            if self.bad_samples is None:
                yield named(batch, self.fields, self.dataset) | {"index": index}
            else:
                samples, reads = batch
                yield named(samples, self.fields, self.dataset) | {"index": self.bad_samples.note(reads, index)}

    def _repeated(self, index: Tensor, seeds: Tensor, num_samples: int) -> Any:
        """Return a collated batch of the size of `index` that repeats its first samples."""
        samples = SeededSamples(self.dataset)
        with preserve_rng_state():
            read = [samples[pair] for pair in zip(index[:num_samples].tolist(), seeds.tolist(), strict=False)]
            return self.collate([_copied(read[number % len(read)]) for number in range(len(index))])

    def _sample_reader(self) -> SampleReader:
        """Return the reader of this dataset; it keeps its workers until an attribute of this loader changes."""
        settings = (self.dataset, self.collate, self.num_workers, self.workers, self.bad_samples)
        if self._reader is None or any(one is not other for one, other in zip(settings, self._reader[0], strict=True)):
            samples = SeededSamples(self.dataset, self._replacements() if self.bad_samples else None)
            collate = CollateReads(self.collate) if self.bad_samples else self.collate
            self._reader = settings, SampleReader(samples, collate, self.num_workers, self.workers)
        return self._reader[1]

    def _replacements(self) -> Sequence[int]:
        """Return the samples that may replace an unreadable one: all, or those that a sampler draws in a first epoch."""
        if self._order.is_permutation:
            return range(self.num_samples)
        return sorted(set(self.order(SeedPath()).tolist()))


def _copied(sample: Any) -> Any:
    """Return a copy of a sample, because a collate function may change its samples; the sample if it cannot be copied."""
    with contextlib.suppress(Exception):
        return copy.deepcopy(sample)
    return sample
