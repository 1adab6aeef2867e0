"""Numbers drawn by hashing: SplitMix64's own, uniform, independent, the same in any batch."""

from __future__ import annotations

import pytest
import torch

from distill_vision.transforms import draw_integers, draw_uniform
from distill_vision.transforms._draw import draw_bits

SEEDS = torch.arange(20_000)
MASK = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """Return the output of the published algorithm on Python's integers."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & MASK
    return state ^ (state >> 31)


@pytest.mark.parametrize("seed", [0, 1, 2**62 + 12345, -1, -(2**63)])
@pytest.mark.parametrize("draw", [0, 1, 1000])
def test_the_bits_are_those_of_splitmix64(seed, draw):
    expected = splitmix64((seed + (draw + 1) * 0x9E3779B97F4A7C15) & MASK)
    assert int(draw_bits(torch.tensor([seed]), draw)[0]) & MASK == expected


def test_the_first_number_of_seed_0_is_the_published_one():
    assert int(draw_bits(torch.tensor([0]), 0)[0]) & MASK == 0xE220A8397B1DCDAF


def test_uniform_numbers_are_uniform():
    from scipy.stats import kstest

    numbers = draw_uniform(SEEDS, 0)
    assert numbers.dtype == torch.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert kstest(numbers.numpy(), "uniform").pvalue > 0.01


def test_draws_are_independent():
    first, second, neighbour = draw_uniform(SEEDS, 0), draw_uniform(SEEDS, 1), draw_uniform(SEEDS + 1, 0)
    pairs = torch.corrcoef(torch.stack([first, second, neighbour]))
    assert (pairs - torch.eye(3)).abs().max() < 0.03


@pytest.mark.parametrize("count", [1, 2, 9, 1000])
def test_integers_are_uniform(count):
    counts = torch.bincount(draw_integers(SEEDS, 0, count), minlength=count)
    assert len(counts) == count
    expected = len(SEEDS) / count
    # chi-square has mean count − 1 and variance 2 (count − 1)
    assert (counts - expected).square().sum() / expected <= count - 1 + 4 * (2 * (count - 1)) ** 0.5


def test_a_number_depends_on_its_own_seed_alone():
    some = torch.tensor([5, 17, 3])
    assert torch.equal(draw_uniform(SEEDS, 2)[some], draw_uniform(some, 2))
    assert torch.equal(draw_integers(SEEDS, 2, 7)[some], draw_integers(some, 2, 7))
