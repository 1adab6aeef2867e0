"""A loader of a stream: an iterable dataset, or a loader with a state of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields as fields_of
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from ..distributed import is_distributed, rank, world_size
from ..errors import DataError
from ._batch_fields import named
from ._loader import Loader
from ._plan import BatchPlan
from ._reader import WorkerOptions
from ._seeds import SeedPath, derive_seed, preserve_rng_state
from ._stream_checks import check_same_in_all_processes, has_shuffle_buffer, is_equal
from ._stream_plan import StreamPlan
from ._stream_reader import Batches, Source, State, first_items
from ._worker_errors import YieldErrors, raise_errors


class Stream(Loader):
    """A loader that reads a stream from its beginning, and begins again at its end; a stage on it needs `steps`.

    Samples are read in their order. `batch_size · processes` successive samples form one global batch, of which each
    process takes its part. A stream that is split among processes already is refused. A batch may cross the end of a pass. Each pass
    iterates a deep copy of the dataset, on which `set_epoch` is called with the number of the pass, from 0, if it has that
    method. The global generators are seeded for each sample. `index` of a batch is the position in the stage.

    A run resumes within a stage if the dataset has `state_dict` and `load_state_dict`, and continues with the same samples
    after loading. The shuffle buffer of `datasets` does not: shuffle the shards or the data before.

    Args:
        dataset: An `IterableDataset` of torch or of `datasets`; with `yields_batches`, a loader that yields batches of
            `batch_size` samples, such as torchdata's StatefulDataLoader.
        batch_size: Number of samples per batch and process.
        num_workers: Number of worker processes that read ahead. Each of them iterates over the complete stream and collates
            its own batches.
        workers: Options of the worker processes.
        collate: Function from a list of samples to a batch; the default is torch's `default_collate`.
        fields: Names for the parts of a tuple.
        yields_batches: Whether `dataset` yields batches. Processes take them in turn.

    Raises:
        DataError: `batch_size` is less than 1, or the stream is already split among processes.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        num_workers: int = 0,
        workers: WorkerOptions | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
        fields: Sequence[str] = ("input", "target"),
        yields_batches: bool = False,
    ) -> None:
        if batch_size < 1:
            message = f"batch_size must be at least 1, got {batch_size}"
            raise DataError(message)
        if getattr(dataset, "_distributed", None) is not None:
            message = f"{type(dataset).__name__} is already split among processes, which a Stream does itself"
            raise DataError(message, hint="give it without split_dataset_by_node")
        self.dataset = dataset
        self.num_workers = num_workers
        self.workers = workers or WorkerOptions()
        self.workers.check(num_workers)
        self.collate = collate or default_collate
        self.fields = tuple(fields)
        self.yields_batches = yields_batches
        self.mix, self.repeats, self.drop_last, self.bad_samples = None, 1, False, None
        self._batch_size = batch_size
        self._order: Any = _NoOrder(dataset)
        self._latest: tuple[int, State | None] = 0, None
        self._resumed: tuple[int, State] | None = None
        self._is_checked = False

    @property
    def num_samples(self) -> int:
        """Raise `DataError`: a stream has no length."""
        return self.samples_per_epoch

    def plan(self, seed_path: SeedPath, *, even: bool = False, order: Tensor | None = None) -> BatchPlan:  # noqa: ARG002
        """Return the batches of this process, without an end."""
        return StreamPlan(self.batch_size, rank(), world_size())

    def batches(
        self, seed_path: SeedPath, *, start: int = 0, plan: BatchPlan | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the batches of a plan from index `start`; without a plan, those of one pass.

        Raises:
            DataError: It is to start within the stream, and no state of that batch was loaded, or the stream yields other
                samples in each process.
        """
        if is_distributed() and not self._is_checked:
            with preserve_rng_state():
                check_same_in_all_processes(first_items(self._source(), seed_path), self.dataset)
            self._is_checked = True
        number, state = self._resumed or (0, None)
        self._resumed = None
        if start and number != start:
            message = f"batch {start} of {type(self.dataset).__name__} is not known without a state"
            raise DataError(message)
        end = len(plan.indices) if plan is not None else None
        for batch, count, after in self._read_batches(
            Batches(self._source(), seed_path, start, end, state if start else None)
        ):
            self._latest = start + 1, after
            if batch is not None:
                yield self._indexed(batch, start, count, is_pass=plan is None)
            start += 1

    def preview_batch(self, seed_path: SeedPath, num_samples: int) -> dict[str, Any]:  # noqa: ARG002
        """Return the first batch; it is read in this process."""
        return next(self.batches(seed_path, plan=self.plan(seed_path).pick(range(1))))

    def close(self) -> None:
        """Do nothing: workers end with the iteration."""

    def state(self, num_batches: int) -> State | None:
        """Return the state after the latest batch, for a checkpoint; None before the first one.

        Args:
            num_batches: The number of batches that have been trained on; the latest one must be the last of them.
        """
        number, state = self._latest
        if num_batches and number != num_batches:
            message = f"{number} batches of the stream were read, but {num_batches} were trained on"
            raise DataError(message)
        return {"batches": number, "state": state} if num_batches else None

    def load_state(self, saved: State | None, seed_path: SeedPath) -> None:
        """Continue after the batch of a state.

        Raises:
            DataError: The stream cannot continue there with the same samples.
        """
        if saved is None:
            return
        if problem := self.resume_problem(seed_path):
            hint = "give a stream whose `state_dict` restores it, or begin the run again in another folder"
            raise DataError(problem, hint=hint)
        self._resumed = self._latest = saved["batches"], saved["state"]

    @functools.lru_cache(maxsize=1)  # noqa: B019 - a stream lives as long as its run
    def resume_problem(self, seed_path: SeedPath) -> str:
        """Return why a run cannot resume within the stream; empty if it can. Two batches are read, and one again."""
        kind = type(self.dataset).__name__
        if not all(callable(getattr(self.dataset, name, None)) for name in ("state_dict", "load_state_dict")):
            return f"{kind} has no `state_dict` and `load_state_dict`, so a run cannot resume within it bit for bit"
        if has_shuffle_buffer(self.dataset):
            return f"{kind} has a shuffle buffer, which its state does not hold, so a run cannot resume within it bit for bit"
        with preserve_rng_state():
            (_, _, state), (expected, _, _) = Batches(self._source(), seed_path, 0, 2, None)
            ((again, _, _),) = Batches(self._source(), seed_path, 1, 2, state)
        if is_equal(expected, again):
            return ""
        return (
            f"{kind} continues with other samples after `load_state_dict`, so a run cannot resume within it bit for bit"
        )

    def _source(self) -> Source:
        process, processes = rank(), world_size()
        size = 1 if self.yields_batches else self.batch_size
        own = slice(process * size, (process + 1) * size)
        return Source(self.dataset, size * processes, own, None if self.yields_batches else self.collate)

    def _indexed(self, batch: Any, number: int, count: int, *, is_pass: bool) -> dict[str, Any]:
        """Return a batch with names and the positions of its samples; only a single pass has a smaller batch, its last one.

        Raises:
            DataError: A loader has given a batch of another size.
        """
        fields = named(batch, self.fields, self.dataset)
        processes, size = world_size(), self.batch_size
        if not self.yields_batches and count < size * processes:
            return fields | {"index": torch.arange(rank(), count, processes) + number * size * processes}
        tensors = [value for value in fields.values() if isinstance(value, Tensor) and value.dim()]
        if self.yields_batches and tensors and len(tensors[0]) != size:
            if is_pass:
                return fields | {"index": torch.arange(len(tensors[0])) + (number * processes + rank()) * size}
            message = f"{type(self.dataset).__name__} yields a batch of {len(tensors[0])} samples, not of {size}"
            raise DataError(message, hint="set its `drop_last`")
        return fields | {"index": torch.arange(size) + (number * processes + rank()) * size}

    def _read_batches(self, batches: Batches) -> Iterator[tuple[Any, int, State | None]]:
        if self.num_workers == 0:
            reading = iter(batches)
            while True:
                with preserve_rng_state():
                    read = next(reading, None)
                if read is None:
                    return
                yield read
        options = {field.name: getattr(self.workers, field.name) for field in fields_of(self.workers)}
        options |= {"persistent_workers": False, "pin_memory": self.workers.pin_memory and torch.cuda.is_available()}
        generator = torch.Generator().manual_seed(derive_seed(batches.seed_path.seed))
        items = YieldErrors(batches)
        loader = DataLoader(items, batch_size=None, num_workers=self.num_workers, generator=generator, **options)
        yield from raise_errors(loader)


class _NoOrder:
    """The order of a stream: that in which it yields."""

    shuffle, sampler, batch_sampler, weights, is_permutation = False, None, None, None, True

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        message = f"a stream ({type(self.dataset).__name__}) has no length"
        raise DataError(message, hint="use a Loader of a dataset with a length here")
