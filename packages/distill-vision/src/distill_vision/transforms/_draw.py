"""Pseudo-random numbers for a batch, each a hash of its sample's seed.

The hash is SplitMix64's output function (Guy Steele, Doug Lea, Christine Flood. "Fast Splittable Pseudorandom Number
Generators." OOPSLA 2014. https://doi.org/10.1145/2660193.2660195) on int64 tensors, whose sums and products wrap around
as those of unsigned integers. A sample's numbers do not depend on its batch, its process or its device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """Return the 64-bit pattern `value` as a signed integer."""
    return value - (1 << 64) if value >= 1 << 63 else value


_GAMMA = _signed(0x9E3779B97F4A7C15)
_TRIES = 8  # pairs of uniform numbers per attempt to draw from a beta distribution
_MIX1 = _signed(0xBF58476D1CE4E5B9)
_MIX2 = _signed(0x94D049BB133111EB)


def _shift_right(bits: Tensor, count: int) -> Tensor:
    """Shift right and fill with zeros; torch's shift repeats the sign."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def draw_bits(seeds: Tensor, draw: int | Tensor) -> Tensor:
    """Draw 64 random bits per seed: the `draw`-th output of a SplitMix64 generator that starts at the seed.

    Args:
        seeds: (batch,) int64.
        draw: Index of the number in the sample's sequence; numbers with different indices are independent. Or several
            indices as int64, of a shape that broadcasts with that of the seeds.

    Returns:
        (batch,) int64, of either sign.
    """
    step = (draw + 1) * _GAMMA  # a tensor wraps around by itself
    bits = seeds + (step if isinstance(step, Tensor) else _signed(step % (1 << 64)))
    bits = (bits ^ _shift_right(bits, 30)) * _MIX1
    bits = (bits ^ _shift_right(bits, 27)) * _MIX2
    return bits ^ _shift_right(bits, 31)


def draw_uniform(seeds: Tensor, draw: int | Tensor) -> Tensor:
    """Draw a number from [0, 1) per seed, a multiple of 2⁻²⁴.

    Args:
        seeds: (batch,) int64.
        draw: Index of the number, or several; see `draw_bits`.

    Returns:
        (batch,) float32.

    >>> seeds = torch.tensor([7, 8, 9])
    >>> bool((draw_uniform(seeds, 0)[1:] == draw_uniform(seeds[1:], 0)).all())
    True
    """
    return _shift_right(draw_bits(seeds, draw), 40).to(torch.float32) * 2.0**-24


def draw_integers(seeds: Tensor, draw: int | Tensor, count: int) -> Tensor:
    """Draw an integer from 0 to `count` − 1 per seed.

    Args:
        seeds: (batch,) int64.
        draw: Index of the number, or several; see `draw_bits`.
        count: Number of different integers; far below 2³².

    Returns:
        (batch,) int64.
    """
    return _shift_right(draw_bits(seeds, draw), 1) % count


def draw_beta(seeds: Tensor, draw: int, alpha: float) -> Tensor:
    """Draw a number from Beta(alpha, alpha) per seed.

    Jöhnk's method: u^(1/α) / (u^(1/α) + v^(1/α)) of the first two uniform numbers for which the sum is at most 1. (M. D.
    Jöhnk. "Erzeugung von betaverteilten und gammaverteilten Zufallszahlen." Metrika 1964.
    https://doi.org/10.1007/BF02613706)

    Args:
        seeds: (batch,) int64.
        draw: Index of the number. The bits of this draw seed the uniform numbers of the method.
        alpha: Shape, > 0. Larger values concentrate the numbers around ½; above 2 drawing takes longer.

    Returns:
        (batch,) float32 from 0 to 1.
    """
    if alpha == 1:
        return draw_uniform(seeds, draw)
    own = draw_bits(seeds, draw)
    drawn = torch.empty(len(seeds), device=seeds.device)
    missing, tries = (torch.arange(count, device=seeds.device) for count in (len(seeds), _TRIES))
    while len(missing):
        # Logarithms, because a power of 1/α may underflow; half a step avoids log(0). float64, because the last bit of a
        # float32 logarithm depends on the index of the number in the batch.
        pairs = torch.stack([2 * tries, 2 * tries + 1]).unsqueeze(1)
        u, v = (draw_uniform(own[missing, None], pairs).double() + 2.0**-25).log() / alpha
        fits = u.exp() + v.exp() <= 1
        accepted, first = fits.any(1), fits.byte().argmax(1, keepdim=True)
        drawn[missing[accepted]] = (u - v).gather(1, first).squeeze(1)[accepted].sigmoid().float()
        missing, tries = missing[~accepted], tries + _TRIES
    return drawn
