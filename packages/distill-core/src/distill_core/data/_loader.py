"""Batches by name, in an order that follows from seed, stage and epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset
from torch.utils.data import default_collate as default_collate

from ..distributed import rank, world_size
from ..errors import DataError
from ..tree import children
from ._bad_samples import BadSamples
from ._order import Order
from ._plan import BatchPlan, cut_batches, cut_evenly
from ._reader import CollateReads, SampleReader, SeededSamples, WorkerOptions
from ._seeds import SeedPath, derive_seed, occurrences, sample_seeds
from ._tensors import TensorData


class Loader:
    """Reads a map-style data set in batches, each a `dict` of fields with the samples' `index` always among them.

    A field may be any nesting of mappings, lists, tuples, named tuples and dataclasses (see `distill_core.tree`).

    Args:
        dataset: `len(dataset)` samples; `dataset[i]` is a tuple (named by `fields`) or a mapping. A `TensorData` is read
            a whole batch at a time.
        batch_size: Samples per batch *and process*. Omit it with `batch_sampler`; then it is the size of the first epoch's
            largest batch.
        shuffle: A new order in each epoch; otherwise the order of the data set.
        sampler: Yields the indices of an epoch, as many as its `len`: any of torch's samplers, or your own. Each epoch
            iterates over a fresh copy. Its generators and the global ones are seeded with seed, stage and epoch, and
            `set_epoch` is called with the epoch, from 0. Samples that come several times are augmented anew each time.
        batch_sampler: Yields lists of indices, each list a batch; of any sizes. Of several processes each gets whole
            batches in turn.
        weights: (samples,) how likely each sample is. An epoch draws as many as there are, with replacement.
        num_workers: Processes that read ahead; 0 reads in this one. The result is the same.
        workers: How they work.
        drop_last: Leave out a last batch that is not full.
        collate: From a list of samples to a batch (a tuple or a mapping); torch's default if left out.
        fields: Names for the parts of a tuple. Mappings and dataclasses have their own, and so has a named tuple with all of
            these among them.
        max_bad_samples: So many samples that cannot be read are replaced, each by another one that depends on its index
            alone; the batch's `index` says which. Above that, and with 0 at once, the run ends.
        mix: Applied to each whole batch and the seeds of its samples (batch,); gives the batch that is trained on.
            In this process, so the number of workers changes nothing.
        repeats: So many times each sample of a batch is in it, with chance of its own each time. An epoch is as long as
            without, so it shows another 1/`repeats` of the data each time. (Maxim Berman et al. "MultiGrain". 2019.
            https://arxiv.org/abs/1902.05509; Elad Hoffer et al. "Augment Your Batch". CVPR 2020.
            https://arxiv.org/abs/1901.09335)

    Raises:
        DataError: The data set is empty or has no length, arguments exclude each other, or `batch_size` is no multiple
            of `repeats`. Reading raises it where a field of the data set is itself called `index`.
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
        _check_dataset(dataset)
        _check_batches(batch_size, batch_sampler, drop_last=drop_last, repeats=repeats)
        if isinstance(dataset, TensorData) and collate not in (None, default_collate):
            message = "a TensorData is read a whole batch at a time, so `collate` would never be called"
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
        """The number of samples of the data set."""
        return len(self.dataset)

    @property
    def samples_per_epoch(self) -> int:
        """The number of samples that an epoch draws; all processes together."""
        return len(self._order)

    @property
    def batch_size(self) -> int:
        """The number of samples per batch and process; the most in a batch, where a batch sampler decides."""
        return max(self._order.first_sizes) if self._batch_size is None else self._batch_size

    @property
    def shuffle(self) -> bool:
        """Whether each epoch has a new order of all samples."""
        return self._order.shuffle

    @property
    def sampler(self) -> Any:
        """The sampler, if one was given."""
        return self._order.sampler

    @property
    def batch_sampler(self) -> Any:
        """The batch sampler, if one was given."""
        return self._order.batch_sampler

    @property
    def weights(self) -> Tensor | None:
        """The weights of the samples (samples,), if they were given."""
        return self._order.weights

    def __len__(self) -> int:
        """The number of batches per process and epoch."""
        if self.batch_sampler is not None:
            return -(-len(self.batch_sampler) // world_size())
        size = self.batch_size * world_size()
        return self.samples_per_epoch // size if self.drop_last else -(-self.samples_per_epoch // size)

    def num_training_batches(self) -> int:
        """The number of batches per process and epoch when none may be empty: `len(plan(place, even=True).indices)`."""
        if self.batch_sampler is not None:
            full, rest = divmod(len(self.batch_sampler), world_size())
            return full + (rest > 0 and sum(self._order.first_sizes[-rest:]) >= world_size())
        size = self.batch_size * world_size()
        full, rest = divmod(self.samples_per_epoch, size)
        return full + (rest >= world_size() and not self.drop_last)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.batches(SeedPath())

    def order(self, seed_path: SeedPath) -> Tensor:
        """The indices in the order of this epoch: all of them or those that are drawn, with `repeats` each several times."""
        order, sizes = self._order.draw(seed_path)
        if self.repeats == 1 or sizes is not None:
            return order
        return order[: -(-len(order) // self.repeats)].repeat_interleave(self.repeats)[: len(order)]

    def plan(self, seed_path: SeedPath, *, even: bool = False, order: Tensor | None = None) -> BatchPlan:
        """What this process reads in an epoch.

        Each stretch of `batch_size · processes` samples is one batch of the run, split evenly among the processes; so
        several processes see the batches that a single one with the larger batch size would see. With a batch sampler it
        is a stretch of as many batches as processes.

        Args:
            even: Every process gets the same number of batches, none of them empty (for training): a last stretch of
                fewer samples than processes is left out.
            order: The samples in the order in which they are split; `order(place)` if left out.
        """
        processes, own = world_size(), rank()
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
        kept = [cut for cut in cuts if cut[own] < cut[own + 1]]
        order = drawn if order is None else order
        times = self._times(drawn)
        return BatchPlan(
            [order[cut[own] : cut[own + 1]] for cut in kept],
            [cut[-1] - cut[0] for cut in kept],
            [times[cut[own] : cut[own + 1]] for cut in kept] if times is not None else [],
        )

    def times(self, seed_path: SeedPath) -> Tensor | None:
        """How often each sample of `order(place)` came earlier in it (samples,); None if each comes once."""
        return self._times(self.order(seed_path))

    def _times(self, order: Tensor) -> Tensor | None:
        if self.repeats == 1 and self._order.is_permutation:
            return None
        times = occurrences(order)
        return times if self.repeats > 1 or bool(times.any()) else None

    def batches(
        self, seed_path: SeedPath, *, start: int = 0, plan: BatchPlan | None = None
    ) -> Iterator[dict[str, Any]]:
        """The batches of an epoch from number `start` on, as planned; by `plan(place)` if no plan is given."""
        plan = plan or self.plan(seed_path)
        indices = plan.indices[start:]
        if not indices:
            return
        times = torch.cat(list(plan.repeats[start:])) if plan.repeats else None
        seeds = torch.split(sample_seeds(seed_path, torch.cat(list(indices)), times), [len(index) for index in indices])
        for batch, seed in zip(self._read(indices, seeds, seed_path), seeds, strict=True):
            yield batch if self.mix is None else self.mix(batch, seed)

    def close(self) -> None:
        """End the worker processes; reading starts new ones."""
        self._reader = None

    def _read(
        self, indices: Sequence[Tensor], seeds: Sequence[Tensor], seed_path: SeedPath
    ) -> Iterator[dict[str, Any]]:
        """The batches of these samples, each sample with its seed."""
        if isinstance(self.dataset, TensorData):
            for index, seed in zip(indices, seeds, strict=True):
                yield self._without_index(self.dataset.batch(index, seed)) | {"index": index}
            return
        seeded = [
            list(zip(index.tolist(), seed.tolist(), strict=True)) for index, seed in zip(indices, seeds, strict=True)
        ]
        reading = self._sample_reader().read(seeded, derive_seed(seed_path.seed, seed_path.stage, seed_path.epoch))
        for index, batch in zip(indices, reading, strict=True):
            if self.bad_samples is None:
                yield self._named(batch) | {"index": index}
            else:
                samples, reads = batch
                yield self._named(samples) | {"index": self.bad_samples.note(reads, index)}

    def _sample_reader(self) -> SampleReader:
        """The reader of this data set; its workers stay until an attribute of this loader changes."""
        asked = (self.dataset, self.collate, self.num_workers, self.workers, self.bad_samples)
        if self._reader is None or any(one is not other for one, other in zip(asked, self._reader[0], strict=True)):
            samples = SeededSamples(self.dataset, self._stand_ins() if self.bad_samples else None)
            collate = CollateReads(self.collate) if self.bad_samples else self.collate
            self._reader = asked, SampleReader(samples, collate, self.num_workers, self.workers)
        return self._reader[1]

    def _stand_ins(self) -> Sequence[int]:
        """The samples that may replace one that cannot be read: those of a first epoch, where not all are drawn."""
        if self._order.is_permutation:
            return range(self.num_samples)
        return sorted(set(self.order(SeedPath()).tolist()))

    def _named(self, batch: Any) -> dict[str, Any]:
        names = getattr(batch, "_fields", ())
        if isinstance(batch, Mapping) or is_dataclass(batch) or set(self.fields) <= set(names):
            return self._without_index(children(batch) or {})
        parts = batch if isinstance(batch, list | tuple) else [batch]
        if len(parts) != len(self.fields):
            message = f"a batch of {type(self.dataset).__name__} has {len(parts)} parts, but `fields` names {list(self.fields)}"
            raise DataError(message)
        return self._without_index(dict(zip(self.fields, parts, strict=True)))

    def _without_index(self, named: dict[str, Any]) -> dict[str, Any]:
        """The fields of a batch, to which the loader adds `index`.

        Raises:
            DataError: A field has that name already.
        """
        if "index" in named:
            message = (
                f"{type(self.dataset).__name__} has a field 'index', the name under which a Loader gives the number of each "
                "sample in the dataset"
            )
            raise DataError(message, hint="give the field another name")
        return named


def _check_dataset(dataset: Any) -> None:
    """Refuse a dataset that cannot be read by index.

    Raises:
        DataError: It has no length or no samples.
    """
    kind = type(dataset).__name__
    if isinstance(dataset, IterableDataset):
        message = (
            f"{kind} is an iterable dataset: a loader reads samples by index, so it needs `__getitem__` and `__len__`"
        )
        raise DataError(message)
    if not hasattr(dataset, "__len__"):
        message = f"{kind} has no length: a loader reads samples by index, so the data set needs one"
        raise DataError(message)
    if len(dataset) == 0:
        message = f"{kind} has no samples"
        raise DataError(message)


def _check_batches(batch_size: int | None, batch_sampler: Any, *, drop_last: bool, repeats: int) -> None:
    """Refuse sizes that do not fit.

    Raises:
        DataError: They are missing, too small or excluded by a batch sampler.
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
        message = f"batch_size is at least 1, not {batch_size}"
        raise DataError(message)
    if repeats < 1 or batch_size % repeats:
        message = f"batch_size={batch_size} is no multiple of repeats={repeats}"
        raise DataError(message)
