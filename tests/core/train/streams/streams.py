"""Streams of the same samples: an iterable dataset with and without a state, one of `datasets`, and a loader with a state."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import IterableDataset

NUM_SAMPLES = 22  # no multiple of a batch


def sample(index):
    generator = torch.Generator().manual_seed(index)
    inputs = torch.randn(6, generator=generator)
    return {"input": inputs, "target": inputs[:3].argmax()}


class Stateless(IterableDataset):
    """Draws a number from the global generator for each sample, as an augmentation does."""

    def __iter__(self):
        for index in range(NUM_SAMPLES):
            read = sample(index)
            yield read | {"input": read["input"] + 0.1 * torch.randn(6)}


class Stateful(Stateless):
    def __init__(self):
        self.done, self.start, self.epoch = 0, 0, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        for index in range(self.start, NUM_SAMPLES):
            self.done = index + 1
            read = sample(index + 100 * self.epoch)
            yield read | {"input": read["input"] + 0.1 * torch.randn(6)}

    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state):
        self.start = state["done"]


def of_datasets(*, shuffled=False):
    datasets = pytest.importorskip("datasets")
    rows = [sample(index) for index in range(NUM_SAMPLES)]
    columns = {name: [row[name].tolist() for row in rows] for name in ("input", "target")}
    stream = datasets.Dataset.from_dict(columns).to_iterable_dataset(num_shards=3).with_format("torch")
    return stream.shuffle(seed=0, buffer_size=8) if shuffled else stream


class Forgetful(Stateful):
    """Restores nothing."""

    def load_state_dict(self, state):
        pass


class BatchLoader:
    """A loader with a state of its own, as torchdata's StatefulDataLoader."""

    def __init__(self, batch_size=4):
        self.batch_size, self.start, self.done = batch_size, 0, 0

    def __iter__(self):
        for batch in range(self.start, NUM_SAMPLES // self.batch_size):
            self.done = batch + 1
            rows = [sample(batch * self.batch_size + number) for number in range(self.batch_size)]
            yield {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state):
        self.start = state["done"]
