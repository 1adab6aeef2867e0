"""Samplers and batch samplers that a loader refuses, with the reason in the message."""

from __future__ import annotations

import os

import pytest
import torch
from torch.utils.data import BatchSampler, DistributedSampler, TensorDataset

from distill_core.data import Loader, SeedPath
from distill_core.errors import DataError

from .samplers import DATA, Own


class Lying:
    def __init__(self, length, *yielded):
        self.length, self.yielded = length, yielded

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.yielded)


class Endless:
    def __iter__(self):
        return iter(())


class Entropy(Lying):
    def __iter__(self):
        return iter(list(os.urandom(64)))


BIG = TensorDataset(torch.zeros(256))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sampler": Endless()}, "sampler: Endless has no length, so the number of steps is not known before training"),
        ({"sampler": 5}, "sampler: int is not iterable; a sampler yields indices, a batch sampler lists of indices"),
        ({"sampler": []}, "sampler: list has length 0, so an epoch would have no samples"),
        ({"sampler": Lying(3, 0, 1)}, "sampler: Lying has length 3, but yields 2 in epoch 1"),
        ({"sampler": Lying(1, 0, 1, 2)}, "sampler: Lying has length 1, but yields more than 1 in epoch 1"),
        ({"sampler": Lying(1, 256)}, "sampler: Lying yields index 256; the indices of TensorDataset are 0 to 255"),
        ({"sampler": Lying(1, -1)}, "sampler: Lying yields index -1; the indices of TensorDataset are 0 to 255"),
        ({"sampler": [0.0]}, "sampler: list must yield integers, the indices of samples, got 0.0"),
        ({"sampler": ["a"]}, "sampler: list must yield integers, the indices of samples, got 'a'"),
        ({"sampler": [True]}, "sampler: list must yield integers, the indices of samples, got True"),
        ({"sampler": [0, None]}, "sampler: list must yield integers, the indices of samples, got None"),
        ({"sampler": [[0, 1]]}, "sampler: list must yield integers, the indices of samples, got [0, 1]"),
        ({"sampler": [[0, 1], [2]]}, "sampler: list must yield integers, the indices of samples, got [0, 1]"),
        (
            {"sampler": Entropy(64)},
            "Entropy yields other samples when the same epoch is drawn again, so a run could not be resumed",
        ),
        (
            {"sampler": DistributedSampler(BIG, num_replicas=2, rank=0)},
            "sampler: DistributedSampler splits the samples over 2 processes, which a Loader does itself",
        ),
        (
            {"sampler": [0], "shuffle": True},
            "shuffle and sampler exclude each other: each decides the order of the samples",
        ),
        (
            {"sampler": [0], "weights": [1.0] * 256},
            "sampler and weights exclude each other: each decides the order of the samples",
        ),
        ({"weights": [1.0]}, "weights must have shape (256,), one for each sample, got (1,)"),
        ({"weights": [-1.0] * 256}, "weights must be finite and ≥ 0, got -1.0 for sample 0"),
        ({"weights": [1.0] * 255 + [float("nan")]}, "weights must be finite and ≥ 0, got nan for sample 255"),
        ({"weights": [0.0] * 256}, "weights are all 0, so no sample can be drawn"),
        ({"batch_sampler": [[0]]}, "batch_sampler decides the batches, so batch_size cannot be given with it"),
    ],
)
def test_what_cannot_be_honoured_is_refused(options, sentence):
    with pytest.raises(DataError) as error:
        Loader(BIG, 4, **options).plan(SeedPath())
    assert str(error.value).partition("\n")[0] == sentence


@pytest.mark.parametrize(
    ("batches", "sentence"),
    [
        ([[0], []], "batch_sampler: list must yield batches of at least one index, but batch 1 is empty"),
        ([0, 1], "batch_sampler: list must yield lists of indices, got 0 as batch 0"),
        ([[0], ["a"]], "batch_sampler: list must yield integers, the indices of samples, got 'a'"),
        ([[0], [300]], "batch_sampler: list yields index 300; the indices of TensorDataset are 0 to 255"),
        (Lying(3, [0]), "batch_sampler: Lying has length 3, but yields 1 in epoch 1"),
        (
            Lying(2, *BatchSampler(DistributedSampler(BIG, num_replicas=2, rank=0), 64, drop_last=False)),
            None,
        ),
        (
            BatchSampler(DistributedSampler(BIG, num_replicas=2, rank=0), 64, drop_last=False),
            "batch_sampler: DistributedSampler splits the samples over 2 processes, which a Loader does itself",
        ),
    ],
)
def test_batches_that_cannot_be_honoured_are_refused(batches, sentence):
    if sentence is None:
        assert len(Loader(BIG, batch_sampler=batches).plan(SeedPath()).indices) == 2
        return
    with pytest.raises(DataError) as error:
        Loader(BIG, batch_sampler=batches).plan(SeedPath())
    assert str(error.value).partition("\n")[0] == sentence


def test_a_sampler_that_cannot_be_copied_is_refused():
    class Locked(Own):
        def __init__(self):
            super().__init__("python")
            self.source = (each for each in ())

    with pytest.raises(DataError, match="sampler: Locked cannot be copied"):
        Loader(DATA, 4, sampler=Locked()).plan(SeedPath())
