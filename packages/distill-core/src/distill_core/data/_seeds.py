"""Chance as a function of its place: every seed is a hash of where it is used.

The hash is SplitMix64's finaliser (Guy Steele, Doug Lea, Christine Flood. "Fast Splittable Pseudorandom Number
Generators". OOPSLA 2014. https://doi.org/10.1145/2660193.2660195), applied to each part of the place in turn.
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
_GOLDEN, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@dataclass(frozen=True, slots=True)
class SeedPath:
    """Where in a run something happens; all counts from 0."""

    seed: int = 0
    stage: int = 0
    epoch: int = 0


def derive_seed(*parts: int) -> int:
    """A hash of the parts and their order, from 0 to 2⁶³ − 1.

    >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0)
    (True, False)
    """
    state = 0
    for part in parts:
        state = (state + _GOLDEN + (part & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * _MIX1) & _MASK
        state = ((state ^ (state >> 27)) * _MIX2) & _MASK
        state ^= state >> 31
    return state >> 1


def sample_seeds(seed_path: SeedPath, indices: Tensor, times: Tensor | None = None) -> Tensor:
    """The seed of each sample's augmentation, `mix(seed, stage, epoch, index)` of each index.

    Args:
        indices: (batch,) int64.
        times: (batch,) int64, how often the sample was there before, where it is there several times: mixed in last.

    Returns:
        (batch,) int64, none negative.
    """
    parts = [indices.numpy()] if times is None else [indices.numpy(), times.numpy()]
    return torch.from_numpy(_mixed(seed_path.seed, seed_path.stage, seed_path.epoch, *parts))


def occurrences(indices: Tensor) -> Tensor:
    """How often each of the indices (samples,) int64 came before.

    >>> occurrences(torch.tensor([7, 7, 3, 7, 3, 8])).tolist()
    [0, 1, 0, 2, 1, 0]
    """
    ordered, places = indices.sort(stable=True)
    count = torch.arange(len(indices))
    begins = torch.cat([torch.ones(1, dtype=torch.bool), ordered[1:] != ordered[:-1]])
    return torch.empty_like(count).scatter_(0, places, count - torch.where(begins, count, 0).cummax(0).values)


def batch_seeds(seed_path: SeedPath, count: int, rank: int) -> list[int]:
    """The seed of the device in each of so many batches of a process, `mix(seed, stage, epoch, batch, rank)`."""
    seeds: list[int] = _mixed(seed_path.seed, seed_path.stage, seed_path.epoch, np.arange(count), rank).tolist()
    return seeds


def _mixed(*parts: int | np.ndarray) -> np.ndarray:
    """`mix` of arrays."""
    golden, mix1, mix2 = np.uint64(_GOLDEN), np.uint64(_MIX1), np.uint64(_MIX2)
    state = np.zeros(max(len(part) for part in parts if isinstance(part, np.ndarray)), dtype=np.uint64)
    for part in parts:
        state = state + golden + (part.astype(np.uint64) if isinstance(part, np.ndarray) else np.uint64(part & _MASK))
        state = (state ^ (state >> np.uint64(30))) * mix1
        state = (state ^ (state >> np.uint64(27))) * mix2
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(1)).astype(np.int64)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on all devices."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.manual_seed(seed)


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and of one device; on the CPU this costs a microsecond."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextmanager
def preserve_rng_state(seed: int | None = None, device: torch.device | None = None) -> Iterator[None]:
    """Put the global generators of Python, NumPy and torch (CPU) back at the end.

    Args:
        seed: What to seed them with at the beginning; omit it to leave them as they are.
        device: A GPU whose generator is put back, too.
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
