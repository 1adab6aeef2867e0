from __future__ import annotations

import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.data import SeedPath, batch_seeds, derive_seed, sample_seeds, seed_everything

INT = st.integers(0, 2**40)


@given(seed=st.integers(0, 2**63 - 1), stage=INT, epoch=INT, indices=st.lists(INT, min_size=1, max_size=5))
def test_vectorised_seeds_are_those_of_mix(seed, stage, epoch, indices):
    seeds = sample_seeds(SeedPath(seed, stage, epoch), torch.tensor(indices))
    assert seeds.tolist() == [derive_seed(seed, stage, epoch, index) for index in indices]
    assert seeds.dtype == torch.int64


@given(seed=st.integers(0, 2**63 - 1), stage=INT, epoch=INT, rank=st.integers(0, 64))
def test_seeds_of_batches_are_those_of_mix(seed, stage, epoch, rank):
    assert batch_seeds(SeedPath(seed, stage, epoch), 4, rank) == [
        derive_seed(seed, stage, epoch, n, rank) for n in range(4)
    ]


def test_every_part_and_its_position_counts():
    places = [(a, b, c) for a in range(12) for b in range(12) for c in range(12)]
    assert len({derive_seed(*seed_path) for seed_path in places}) == len(places)


def test_bits_of_neighbouring_seeds_are_balanced():
    bits = np.array([[derive_seed(0, 0, 0, index) >> bit & 1 for bit in range(63)] for index in range(4000)])
    assert np.abs(bits.mean(0) - 0.5).max() < 0.05


def test_seed_everything_seeds_all_three():
    drawn = []
    for _ in range(2):
        seed_everything(7)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
