"""Pseudo-random numbers of a whole batch at once, each a hash of its sample's seed.

The hash is SplitMix64's output function (Guy Steele, Doug Lea, Christine Flood. "Fast Splittable Pseudorandom Number
Generators." OOPSLA 2014. https://doi.org/10.1145/2660193.2660195) on int64 tensors, whose sums and products wrap around
as unsigned ones do. So a sample's numbers do not depend on its batch, its process or its device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The 64-bit pattern `value` read as a signed integer."""
    return value - (1 << 64) if value >= 1 << 63 else value


_GAMMA = _signed(0x9E3779B97F4A7C15)
_TRIES = 8  # pairs of numbers at a time for one from a beta distribution
_MIX1 = _signed(0xBF58476D1CE4E5B9)
_MIX2 = _signed(0x94D049BB133111EB)


def _shift_right(bits: Tensor, count: int) -> Tensor:
    """A shift that fills with zeros; torch's own repeats the sign."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def draw_bits(seeds: Tensor, draw: int | Tensor) -> Tensor:
    """64 random bits per seed: the `draw`-th output of a SplitMix64 generator that starts at the seed.

    Args:
        seeds: (batch,) int64.
        draw: Which of the sample's numbers, from 0; the numbers of different draws are independent. Or several as int64,
            of a shape that broadcasts with that of the seeds.

    Returns:
        (batch,) int64, of either sign.
    """
    step = (draw + 1) * _GAMMA  # a tensor wraps around by itself
    bits = seeds + (step if isinstance(step, Tensor) else _signed(step % (1 << 64)))
    bits = (bits ^ _shift_right(bits, 30)) * _MIX1
    bits = (bits ^ _shift_right(bits, 27)) * _MIX2
    return bits ^ _shift_right(bits, 31)


def draw_uniform(seeds: Tensor, draw: int | Tensor) -> Tensor:
    """A number from [0, 1) per seed, a multiple of 2⁻²⁴.

    Args:
        seeds: (batch,) int64.
        draw: Which of the sample's numbers, from 0; or several, see `draw_bits`.

    Returns:
        (batch,) float32.

    >>> seeds = torch.tensor([7, 8, 9])
    >>> bool((draw_uniform(seeds, 0)[1:] == draw_uniform(seeds[1:], 0)).all())
    True
    """
    return _shift_right(draw_bits(seeds, draw), 40).to(torch.float32) * 2.0**-24


def draw_integers(seeds: Tensor, draw: int | Tensor, count: int) -> Tensor:
    """An integer from 0 to `count` − 1 per seed.

    Args:
        seeds: (batch,) int64.
        draw: Which of the sample's numbers, from 0; or several, see `draw_bits`.
        count: How many different integers; far below 2³².

    Returns:
        (batch,) int64.
    """
    return _shift_right(draw_bits(seeds, draw), 1) % count


def draw_beta(seeds: Tensor, draw: int, alpha: float) -> Tensor:
    """A number from Beta(alpha, alpha) per seed.

    Jöhnk's method: u^(1/α) / (u^(1/α) + v^(1/α)) of the first two uniform numbers for which the sum is at most 1. (M. D.
    Jöhnk. "Erzeugung von betaverteilten und gammaverteilten Zufallszahlen." Metrika 1964.
    https://doi.org/10.1007/BF02613706)

    Args:
        seeds: (batch,) int64.
        draw: Which of the sample's draws, from 0; it is taken as the seed of as many numbers as are needed.
        alpha: Above 0. The larger, the nearer to ½ the numbers are, and from 2 on the longer it takes.

    Returns:
        (batch,) float32 from 0 to 1.
    """
    if alpha == 1:
        return draw_uniform(seeds, draw)
    own = draw_bits(seeds, draw)
    drawn = torch.empty(len(seeds), device=seeds.device)
    missing, tries = (torch.arange(count, device=seeds.device) for count in (len(seeds), _TRIES))
    while len(missing):
        # In logarithms, because a power of 1/α may be too small for a float; half a step keeps away from 0. In float64,
        # because the last bit of a logarithm depends on where in a batch the number stands.
        pairs = torch.stack([2 * tries, 2 * tries + 1]).unsqueeze(1)
        u, v = (draw_uniform(own[missing, None], pairs).double() + 2.0**-25).log() / alpha
        fits = u.exp() + v.exp() <= 1
        found, first = fits.any(1), fits.byte().argmax(1, keepdim=True)
        drawn[missing[found]] = (u - v).gather(1, first).squeeze(1)[found].sigmoid().float()
        missing, tries = missing[~found], tries + _TRIES
    return drawn
