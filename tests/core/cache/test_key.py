"""Hashes of objects: the same in another process, and different after each relevant change."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from distill_core.cache import describe, hash_rows


@dataclass(frozen=True)
class Record:
    size: int
    parts: tuple = ()


class Transform:
    def __init__(self, degrees, *, inner=None):
        self.degrees, self._inner = degrees, inner


class Slotted:
    __slots__ = ("value",)


def shift(images, seeds, *, by=1):
    return images + by


def closure(number):
    def inner(x):
        return x + number

    return inner


def inside(value):
    return nn.Sequential(nn.Linear(2, 2), nn.Dropout(value))


def seeded(value):
    torch.manual_seed(0)
    return inside(value)


PAIRS = [
    (lambda: 1, lambda: 1.0),
    (lambda: "1", lambda: 1),
    (lambda: Record(1), lambda: Record(2)),
    (lambda: Record(1, (Transform(3),)), lambda: Record(1, (Transform(4),))),
    (lambda: Transform(1, inner=Transform(2)), lambda: Transform(1, inner=Transform(3))),
    (lambda: functools.partial(shift, by=1), lambda: functools.partial(shift, by=2)),
    (lambda: shift, lambda: closure),
    (lambda: closure(1), lambda: closure(2)),
    (lambda: torch.zeros(3), lambda: torch.tensor([0.0, 0.0, 1e-9])),
    (lambda: torch.zeros(3, 1), lambda: torch.zeros(1, 3)),
    (lambda: np.zeros(3), lambda: np.zeros(3, dtype=np.float32)),
    (lambda: seeded(0.1), lambda: seeded(0.2)),
    (lambda: {"a": 1, "b": 2}, lambda: {"a": 2, "b": 1}),
    (lambda: [1, [2, 3]], lambda: [1, 2, [3]]),
    (lambda: list(range(5000)), lambda: [*range(4999), 0]),
    (lambda: [Record(1)] * 2000, lambda: [Record(1)] * 1999 + [Record(2)]),
    (lambda: {3, 1, 2}, lambda: {3, 1}),
    (lambda: Transform(1).__init__, lambda: Transform(2).__init__),
]


@pytest.mark.parametrize(("make", "other"), PAIRS)
def test_equal_things_have_one_hash_and_others_another(make, other):
    assert describe(make()) == describe(make())
    assert describe(make()) != describe(other())


def test_an_object_that_holds_itself_has_a_hash():
    loop = Transform(1)
    loop.again = loop
    assert describe(loop) == describe(loop)
    assert describe(Slotted()) == describe(Slotted())


def test_another_process_finds_the_same(python):
    code = (
        "import functools, torch\nfrom torch import nn\nfrom distill_core.cache import describe\n"
        "torch.manual_seed(0)\n"
        "print(describe([functools.partial(sorted, reverse=True), nn.Linear(2, 2), {'b', 'a'}, object()]))"
    )
    assert python(code).stdout == python(code).stdout


def test_each_bit_of_a_row_counts_wherever_the_row_stands():
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        images = torch.randn(6, 3, 4, 4).to(dtype)
        hashes = hash_rows([images], 6)
        assert len(hashes.unique()) == 6
        order = torch.randperm(6)
        assert torch.equal(hash_rows([images[order]], 6), hashes[order])
        assert torch.equal(hash_rows([images.contiguous(memory_format=torch.channels_last)], 6), hashes)
        bits = images.clone().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[images.element_size()])
        place = random.randrange(48)
        bits.view(6, 48)[2, place] ^= 1
        changed = hash_rows([bits.view(dtype)], 6) != hashes
        assert changed.tolist() == [False, False, True, False, False, False]
