"""Batches by name, in an order that follows from seed, stage and epoch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler
from torch.utils.data import default_collate as default_collate

from ..distributed import rank, world_size
from ..errors import DataError
from ._bad_samples import BadSamples, Read, describe, read_or_replace
from ._chance import Place, mix, occurrences, sample_seeds
from ._tensors import TensorData


@dataclass(frozen=True)
class BatchPlan:
    """What is read in an epoch.

    Attributes:
        indices: Which samples this process reads in each batch.
        global_sizes: How many samples all processes read together in each batch.
        global_tokens: How many tokens that count these have; empty if the data set does not say (`num_tokens`).
    """

    indices: Sequence[Tensor]
    global_sizes: Sequence[int]
    global_tokens: Sequence[int] = ()


class Loader:
    """Reads a map-style data set in batches, each a `dict` of fields with the samples' `index` always among them.

    Args:
        dataset: `len(dataset)` samples; `dataset[i]` is a tuple (named by `fields`) or a mapping. A `TensorData` is read
            a whole batch at a time.
        batch_size: Samples per batch *and process*.
        shuffle: A new order in each epoch; otherwise the order of the data set.
        num_workers: Processes that read ahead; 0 reads in this one. The result is the same.
        drop_last: Leave out a last batch that is not full.
        collate: From a list of samples to a batch (a tuple or a mapping); torch's default if left out.
        fields: Names for the parts of a tuple.
        max_bad_samples: So many samples that cannot be read are replaced, each by another one that depends on its index
            alone; the batch's `index` says which. Above that, and with 0 at once, the run ends.
        mix: Applied to each whole batch and the seeds of its samples (batch,); gives the batch that is trained on.
            In this process, so the number of workers changes nothing.
        repeats: So many times each sample of a batch is in it, with chance of its own each time. An epoch is as long as
            without, so it shows another 1/`repeats` of the data each time. (Maxim Berman et al. "MultiGrain". 2019.
            https://arxiv.org/abs/1902.05509; Elad Hoffer et al. "Augment Your Batch". CVPR 2020.
            https://arxiv.org/abs/1901.09335)

    Raises:
        DataError: The data set is empty or has no length, or `batch_size` is no multiple of `repeats`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        shuffle: bool = False,
        num_workers: int = 0,
        drop_last: bool = False,
        collate: Callable[[list[Any]], Any] | None = None,
        fields: Sequence[str] = ("input", "target"),
        max_bad_samples: int = 0,
        mix: Callable[[dict[str, Any], Tensor], dict[str, Any]] | None = None,
        repeats: int = 1,
    ) -> None:
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
            message = (
                f"{type(dataset).__name__} has no length: a loader reads samples by index, so the data set needs one"
            )
            raise DataError(message)
        if len(dataset) == 0:
            message = f"{type(dataset).__name__} has no samples"
            raise DataError(message)
        if batch_size < 1:
            message = f"batch_size is at least 1, not {batch_size}"
            raise DataError(message)
        if repeats < 1 or batch_size % repeats:
            message = f"batch_size={batch_size} is no multiple of repeats={repeats}"
            raise DataError(message)
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.num_workers = num_workers
        self.drop_last = drop_last
        self.collate = collate or default_collate
        self.fields = tuple(fields)
        self.bad_samples = BadSamples(max_bad_samples) if max_bad_samples else None
        self.mix = mix
        self.repeats = repeats

    @property
    def num_samples(self) -> int:
        """The number of samples of the data set."""
        return len(self.dataset)

    def __len__(self) -> int:
        """The number of batches per process and epoch."""
        size = self.batch_size * world_size()
        return self.num_samples // size if self.drop_last else -(-self.num_samples // size)

    def num_training_batches(self) -> int:
        """The number of batches per process and epoch when none may be empty: `len(plan(place, even=True).indices)`."""
        size = self.batch_size * world_size()
        full, rest = divmod(self.num_samples, size)
        return full + (rest >= world_size() and not self.drop_last)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.batches(Place())

    def order(self, place: Place) -> Tensor:
        """The indices in the order of this epoch: all of them, or fewer and each `repeats` times."""
        if not self.shuffle:
            order = torch.arange(self.num_samples)
        else:
            generator = torch.Generator().manual_seed(mix(place.seed, place.stage, place.epoch))
            order = torch.randperm(self.num_samples, generator=generator)
        if self.repeats == 1:
            return order
        return order[: -(-len(order) // self.repeats)].repeat_interleave(self.repeats)[: len(order)]

    def plan(self, place: Place, *, even: bool = False, order: Tensor | None = None) -> BatchPlan:
        """What this process reads in an epoch.

        Each stretch of `batch_size · processes` samples is one batch of the run, split evenly among the processes; so
        several processes see the batches that a single one with the larger batch size would see.

        Args:
            even: Every process gets the same number of batches, none of them empty (for training): a last stretch of
                fewer samples than processes is left out.
            order: The samples in the order in which they are split; `order(place)` if left out.
        """
        processes, own = world_size(), rank()
        stretches = torch.split(self.order(place) if order is None else order, self.batch_size * processes)
        if self.drop_last and len(stretches[-1]) < self.batch_size * processes:
            stretches = stretches[:-1]
        if even and stretches and len(stretches[-1]) < processes:
            stretches = stretches[:-1]
        shares = stretches if processes == 1 else [stretch.tensor_split(processes)[own] for stretch in stretches]
        kept = [(share, stretch.shape[0]) for share, stretch in zip(shares, stretches, strict=True) if share.shape[0]]
        sizes = [size for _, size in kept]
        tokens = getattr(self.dataset, "num_tokens", None)  # (samples,)
        counts = [int(tokens[stretch].sum()) for stretch in stretches[: len(kept)]] if tokens is not None else []
        return BatchPlan([share for share, _ in kept], sizes, counts)

    def batches(self, place: Place, *, start: int = 0, plan: BatchPlan | None = None) -> Iterator[dict[str, Any]]:
        """The batches of an epoch from number `start` on, as planned; by `plan(place)` if no plan is given."""
        indices = (plan or self.plan(place)).indices[start:]
        if not indices:
            return
        together = torch.cat(list(indices))
        chance = sample_seeds(place, together, occurrences(together) if self.repeats > 1 else None)
        seeds = torch.split(chance, [len(index) for index in indices])
        for batch, seed in zip(self._read(indices, seeds), seeds, strict=True):
            yield batch if self.mix is None else self.mix(batch, seed)

    def _read(self, indices: Sequence[Tensor], seeds: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
        """The batches of these samples, each sample with its seed."""
        if isinstance(self.dataset, TensorData):
            for index, seed in zip(indices, seeds, strict=True):
                yield self.dataset.batch(index, seed) | {"index": index}
            return
        seeded = [
            list(zip(index.tolist(), seed.tolist(), strict=True)) for index, seed in zip(indices, seeds, strict=True)
        ]
        reader: DataLoader[Any] = DataLoader(
            _SeededSamples(self.dataset, replace=self.bad_samples is not None),
            batch_sampler=seeded,
            num_workers=self.num_workers,
            collate_fn=self.collate if self.bad_samples is None else _CollateReads(self.collate),
            pin_memory=torch.cuda.is_available(),
        )
        for index, batch in zip(indices, reader, strict=True):
            if self.bad_samples is None:
                yield self._named(batch) | {"index": index}
            else:
                samples, reads = batch
                yield self._named(samples) | {"index": self.bad_samples.note(reads, index)}

    def _named(self, batch: Any) -> dict[str, Any]:
        if isinstance(batch, Mapping):
            return dict(batch)
        parts = batch if isinstance(batch, list | tuple) else [batch]
        if len(parts) != len(self.fields):
            message = f"a batch of {type(self.dataset).__name__} has {len(parts)} parts, but `fields` names {list(self.fields)}"
            raise DataError(message)
        return dict(zip(self.fields, parts, strict=True))


class _SeededSamples(Dataset[Any]):
    """Seeds Python, NumPy and torch for each sample, wherever it is read: here or in a worker process."""

    def __init__(self, dataset: Any, *, replace: bool = False) -> None:
        self.dataset = dataset
        self.replace = replace

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: tuple[int, int]) -> Any:
        index, seed = place
        if self.replace:
            return read_or_replace(lambda tried: self._read(tried, seed), index, self.dataset)
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


class _CollateReads:
    """Collates the samples and keeps beside them which they are."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, reads: list[Read]) -> tuple[Any, list[tuple[int, dict[int, str]]]]:
        return self.collate([read.sample for read in reads]), [(read.index, read.bad) for read in reads]


def as_loader(data: Any) -> Loader:
    """A `Loader` as it is; an ordinary `DataLoader` rebuilt as one, with its data set, batch size and collate function.

    Raises:
        DataError: It is neither, or the `DataLoader` has a batch sampler of its own.
    """
    if isinstance(data, Loader):
        return data
    if not isinstance(data, DataLoader):
        message = f"{type(data).__name__} is no loader: give a distill_core.data.Loader or a torch DataLoader"
        raise DataError(message)
    if data.batch_size is None:
        message = "a DataLoader with its own batch sampler has no batch size: give a distill_core.data.Loader"
        raise DataError(message)
    return Loader(
        data.dataset,
        data.batch_size,
        shuffle=isinstance(data.sampler, RandomSampler),
        num_workers=data.num_workers,
        drop_last=data.drop_last,
        collate=data.collate_fn,
    )
