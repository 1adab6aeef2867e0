"""Seeds: each is a hash of its seed path (seed, stage, epoch, sample).

The hash is SplitMix64's finaliser (Guy Steele, Doug Lea, Christine Flood. "Fast Splittable Pseudorandom Number
Generators". OOPSLA 2014. https://doi.org/10.1145/2660193.2660195), applied to the parts of the path in turn.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_MASK = (1 << 64) - 1
_GOLDEN, _FACTOR1, _FACTOR2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@dataclass(frozen=True, slots=True)
class SeedPath:
    """The seed, stage and epoch from which seeds are derived; stage and epoch count from 0."""

    seed: int = 0
    stage: int = 0
    epoch: int = 0


def derive_seed(*parts: int) -> int:
    """Return a hash of the parts in their order, from 0 to 2⁶³ − 1.

    >>> derive_seed(0, 1) == derive_seed(0, 1), derive_seed(0, 1) == derive_seed(1, 0)
    (True, False)
    """
    state = 0
    for part in parts:
        state = (state + _GOLDEN + (part & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * _FACTOR1) & _MASK
        state = ((state ^ (state >> 27)) * _FACTOR2) & _MASK
        state ^= state >> 31
    return state >> 1


def sample_seeds(seed_path: SeedPath, indices: Tensor, times: Tensor | None = None) -> Tensor:
    """Return the seed of each sample's augmentation, `derive_seed(seed, stage, epoch, index)` of each index.

    Args:
        seed_path: The epoch.
        indices: (batch,) int64.
        times: (batch,) int64, how often each sample occurred earlier in the epoch; the last part of the hash.

    Returns:
        (batch,) int64, none negative.
    """
    parts = [indices.numpy()] if times is None else [indices.numpy(), times.numpy()]
    return torch.from_numpy(_hashes(seed_path.seed, seed_path.stage, seed_path.epoch, *parts))


def occurrences(indices: Tensor) -> Tensor:
    """Return how often each of the indices (samples,) int64 occurred before.

    >>> occurrences(torch.tensor([7, 7, 3, 7, 3, 8])).tolist()
    [0, 1, 0, 2, 1, 0]
    """
    ordered, positions = indices.sort(stable=True)
    count = torch.arange(len(indices))
    begins = torch.cat([torch.ones(1, dtype=torch.bool), ordered[1:] != ordered[:-1]])
    return torch.empty_like(count).scatter_(0, positions, count - torch.where(begins, count, 0).cummax(0).values)


def batch_seeds(seed_path: SeedPath, count: int, rank: int) -> list[int]:
    """Return the device's seed for each batch of a process, `derive_seed(seed, stage, epoch, batch, rank)`."""
    seeds: list[int] = _hashes(seed_path.seed, seed_path.stage, seed_path.epoch, np.arange(count), rank).tolist()
    return seeds


def _hashes(*parts: int | np.ndarray) -> np.ndarray:
    """Return `derive_seed` of arrays."""
    golden, factor1, factor2 = np.uint64(_GOLDEN), np.uint64(_FACTOR1), np.uint64(_FACTOR2)
    state = np.zeros(max(len(part) for part in parts if isinstance(part, np.ndarray)), dtype=np.uint64)
    for part in parts:
        state = state + golden + (part.astype(np.uint64) if isinstance(part, np.ndarray) else np.uint64(part & _MASK))
        state = (state ^ (state >> np.uint64(30))) * factor1
        state = (state ^ (state >> np.uint64(27))) * factor2
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(1)).astype(np.int64)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on all devices."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.manual_seed(seed)


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and of one device; this takes a microsecond on the CPU."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextmanager
def preserve_rng_state(seed: int | None = None, device: torch.device | None = None) -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch (CPU) at the end.

    Args:
        seed: Seed for them at the beginning; by default they are not seeded.
        device: A GPU whose generator is restored, too.
    """
    python, numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    of_device = torch.cuda.get_rng_state() if device is not None and device.type == "cuda" else None
    try:
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed & 0xFFFFFFFF)
            torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(of_torch)
        if of_device is not None:
            torch.cuda.set_rng_state(of_device)
