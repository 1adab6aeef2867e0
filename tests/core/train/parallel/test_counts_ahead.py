"""The counts of several updates are added up at once, and each batch has the scale that it has alone."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from torch import nn

from distill_core.data import BatchPlan
from distill_core.experiment import Term
from distill_core.train._kept_buffers import KeptBuffers
from distill_core.train.step import _count_window, _loss_scale
from distill_core.train.step._loss_scale import LossScales

INPUTS = {"input": "student", "target": "batch.target"}
NUM_BATCHES = 75


class Sums:
    """A run of two processes, both with the batches of this one; notes how many numbers each sum has."""

    def __init__(self, monkeypatch):
        self.sizes = []
        for module in (_loss_scale, _count_window):
            monkeypatch.setattr(module, "world_size", lambda: 2)
            monkeypatch.setattr(module, "sum_over_processes", self)

    def __call__(self, tensor):
        self.sizes.append(tensor.numel())
        return tensor * 2


@pytest.fixture
def sums(monkeypatch):
    return Sums(monkeypatch)


def batches(start=0, width=8):
    for number in range(start, NUM_BATCHES):
        target = torch.arange(4)
        target[: number % 4] = -100
        yield {"input": torch.empty(4, width).expand(4, width), "target": target, "number": number}


def scales(loss, accumulate, start=0, width=8):
    plan = BatchPlan([torch.arange(4)] * NUM_BATCHES, [8] * NUM_BATCHES)
    every = LossScales({"ce": Term(loss=loss, inputs=INPUTS)})
    return every.of_batches(batches(start, width), plan, start, accumulate, before=None)


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_the_scales_are_those_of_each_update_alone(sums, accumulate):
    for number, (batch, scale) in enumerate(scales(nn.CrossEntropyLoss(), accumulate)):
        assert batch["number"] == number
        first = number - number % accumulate
        counts = [4 - other % 4 for other in range(first, min(first + accumulate, NUM_BATCHES))]
        expected = torch.tensor(2.0 * (4 - number % 4)) / torch.tensor(2.0 * sum(counts))
        assert torch.equal(scale.gradient["ce"], expected)
        assert torch.equal(scale.logged["ce"], expected / (1 / len(counts)))
    assert number == NUM_BATCHES - 1


def test_a_resumed_epoch_has_the_same_scales(sums):
    complete = [scale.gradient["ce"] for _, scale in scales(nn.CrossEntropyLoss(), 2)]
    resumed = [scale.gradient["ce"] for _, scale in scales(nn.CrossEntropyLoss(), 2, start=14)]
    assert torch.equal(torch.stack(complete[14:]), torch.stack(resumed))


def test_windows_double_up_to_sixteen_updates(sums):
    """The first number is the size of the first window."""
    list(scales(nn.CrossEntropyLoss(), 1))
    assert sums.sizes == [1, 1, 2, 4, 8, 16, 16, 16, 12]


@pytest.mark.parametrize(
    ("loss", "width"), [(nn.CrossEntropyLoss(), 2**23), (nn.CrossEntropyLoss(weight=torch.ones(4) / 3), 8)]
)
def test_large_batches_and_counts_that_are_rounded_are_added_up_one_by_one(sums, loss, width):
    list(islice(scales(loss, 1, width=width), 20))
    assert set(sums.sizes) == {1}


def num_read(accumulate, **options):
    """Yield the number of batches that are read when each batch is trained on."""
    read = []

    def noted():
        for batch in batches():
            read.append(batch["number"])
            yield batch

    plan = BatchPlan([torch.arange(4)] * NUM_BATCHES, [8] * NUM_BATCHES)
    every = LossScales({"ce": Term(loss=nn.CrossEntropyLoss(), inputs=INPUTS)})
    for _ in every.of_batches(noted(), plan, 0, accumulate, before=None, **options):
        yield len(read)


def test_two_batches_are_read_for_each_that_is_trained_on_until_the_window_is_long(sums):
    ahead = [read - number - 1 for number, read in enumerate(num_read(1))]
    assert ahead[:8] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert max(ahead) == 15


@pytest.mark.parametrize("accumulate", [1, 2])
def test_of_a_stream_only_the_batches_of_one_update_are_read(sums, accumulate):
    for number, read in enumerate(num_read(accumulate, ahead=False)):
        assert read == min(number - number % accumulate + accumulate, NUM_BATCHES)


def test_only_floating_buffers_are_checked_on_all_processes():
    """`nn.CrossEntropyLoss` has a buffer without a tensor."""
    for module, count in ((nn.CrossEntropyLoss(), 0), (nn.Linear(1, 1), 0), (nn.BatchNorm1d(2), 2)):
        buffers = KeptBuffers(nn.ModuleList([module]))
        buffers.keep()
        assert buffers.num_floating == count
