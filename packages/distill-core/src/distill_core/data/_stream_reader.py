"""Reading a stream: pass after pass, in this process or in workers, with the state after each batch."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info
from torch.utils.data._utils import worker as torch_worker

from ..errors import DataError
from ._seeds import SeedPath, derive_seed

State = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """What a stream reads.

    Attributes:
        items: An iterable dataset, or a loader that yields batches.
        per_batch: Number of its items in a global batch: samples, or batches of a loader.
        own: The items of a global batch that this process takes.
        collate: Function from a list of samples to a batch; None if the items are batches.
    """

    items: Any
    per_batch: int
    own: slice
    collate: Callable[[list[Any]], Any] | None

    def copied(self) -> Any:
        """Return a copy of the items, which a pass iterates, so that no state is carried over to the next pass.

        Raises:
            DataError: They cannot be copied.
        """
        try:
            return copy.deepcopy(self.items)
        except Exception as error:
            kind = type(self.items).__name__
            message = f"{kind} cannot be copied ({type(error).__name__}: {error}), and each pass iterates a copy"
            raise DataError(message, hint="give it a `__deepcopy__`") from error


class Batches(IterableDataset[Any]):
    """The batches of a stream, each with the state that continues after it.

    A worker iterates over the complete stream, and collates only its own batches: the number of workers changes nothing.

    Args:
        source: What is read.
        seed_path: The stage; the seed of each item follows from it and from the position of the item.
        start: Index of the first batch.
        end: Index after the last batch; None reads one pass to its end.
        state: The state after the batch before `start`; None begins the stream.
    """

    def __init__(self, source: Source, seed_path: SeedPath, start: int, end: int | None, state: State | None) -> None:
        self.source, self.seed_path, self.start, self.end, self.state = source, seed_path, start, end, state

    def __iter__(self) -> Iterator[tuple[Any, int, State | None]]:
        """Yield batches of this process, the number of samples in the global batch, and the state after it."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        if info:
            torch_worker._worker_info = None  # noqa: SLF001 - a dataset must not divide itself among the workers
        passes = _Passes(self.source, self.seed_path, self.start * self.source.per_batch, self.state)
        for number in itertools.count(self.start) if self.end is None else range(self.start, self.end):
            items = passes.take(self.source.per_batch, one_pass=self.end is None)
            if not items:
                return
            if (number - self.start) % workers == worker:
                yield self._collated(items), len(items), passes.state()

    def _collated(self, items: list[Any]) -> Any:
        if len(items) < self.source.per_batch:  # the end of a pass, split evenly
            step = self.source.own.stop - self.source.own.start
            process, processes = self.source.own.start // step, self.source.per_batch // step
            own = items[process::processes]
        else:
            own = items[self.source.own]
        if not own:
            return None
        return own[0] if self.source.collate is None else self.source.collate(own)


def first_items(source: Source, seed_path: SeedPath) -> list[Any]:
    """Return the items of the first global batch, from all processes; fewer if the stream is shorter."""
    return _Passes(source, seed_path, 0, None).take(source.per_batch, one_pass=True)


class _Passes:
    """The items of a stream in order; after its end it begins again."""

    def __init__(self, source: Source, seed_path: SeedPath, position: int, state: State | None) -> None:
        self._source, self._position = source, position
        self._seeds = (seed_path.seed, seed_path.stage, seed_path.epoch)
        self._pass = state["pass"] if state else 0
        self._begin(state["stream"] if state else None)

    def _begin(self, state: Any = None) -> None:
        self._items = self._source.copied()
        if callable(set_epoch := getattr(self._items, "set_epoch", None)):
            set_epoch(self._pass)
        if state is not None:
            self._items.load_state_dict(state)
        self._is_empty = state is None
        self._seed()
        self._iterator = iter(self._items)

    def take(self, count: int, *, one_pass: bool) -> list[Any]:
        """Return the next items; fewer only at the end of a single pass."""
        taken: list[Any] = []
        while len(taken) < count:
            self._seed()
            try:
                taken.append(next(self._iterator))
            except StopIteration:
                if one_pass:
                    return taken
                if self._is_empty:
                    message = f"{type(self._source.items).__name__} yields nothing"
                    raise DataError(message) from None
                self._pass += 1
                self._begin()
                continue
            self._is_empty = False
            self._position += 1
        return taken

    def state(self) -> State | None:
        """Return the state that continues here; None if the stream has none."""
        state_dict = getattr(self._items, "state_dict", None)
        return None if state_dict is None else {"pass": self._pass, "stream": copy.deepcopy(state_dict())}

    def _seed(self) -> None:
        seed = derive_seed(*self._seeds, self._position)
        random.seed(seed)
        np.random.seed(seed & 0xFFFFFFFF)
        torch.default_generator.manual_seed(seed)
