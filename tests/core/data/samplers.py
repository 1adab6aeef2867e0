"""Samplers of every kind: torch's own, and what people write."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    Dataset,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

COUNT = 23
SUBSET = [3, 5, 8, 13, 21, 1, 2]


class Noisy(Dataset):
    """Draws from all three generators, as augmentations do."""

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(1).item()]), index % 3


DATA = Noisy()


class Own(Sampler):
    """Draws from one source of randomness; `of` says which."""

    def __init__(self, of):
        self.of = of
        self.epoch = 0
        self.indices = list(range(COUNT))
        self.generators = {
            "torch": torch.Generator().manual_seed(5),
            "python": random.Random(5),
            "numpy": np.random.default_rng(5),
            "old numpy": np.random.RandomState(5),
        }

    def __len__(self):
        return COUNT

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        if self.of == "epoch":
            return iter(torch.randperm(COUNT, generator=torch.Generator().manual_seed(self.epoch)).tolist())
        if self.of == "global torch":
            return iter(torch.randperm(COUNT).tolist())
        if self.of == "global numpy":
            return iter(np.random.permutation(COUNT))  # NumPy integers
        if self.of == "torch":
            return iter(torch.randperm(COUNT, generator=self.generators["torch"]))  # tensors of no dimension
        if self.of in ("numpy", "old numpy"):
            return iter(self.generators[self.of].permutation(COUNT).tolist())
        (self.generators["python"] if self.of == "python" else random).shuffle(self.indices)  # stays shuffled
        return iter(self.indices)


class Buckets:
    """A batch sampler of batches of other sizes."""

    def __init__(self):
        self.generator = torch.Generator()

    def __len__(self):
        return 5

    def __iter__(self):
        batches = torch.randperm(COUNT, generator=self.generator).split([7, 1, 5, 4, 6])
        return iter([batch.tolist() for batch in batches])


SAMPLERS = {
    "sequential": lambda: SequentialSampler(DATA),
    "the first few": lambda: SequentialSampler(range(9)),
    "random": lambda: RandomSampler(DATA),
    "random, of the first few": lambda: RandomSampler(range(9)),
    "random, seeded": lambda: RandomSampler(DATA, generator=torch.Generator().manual_seed(1)),
    "random, several times": lambda: RandomSampler(DATA, num_samples=3 * COUNT + 2),
    "random, fewer": lambda: RandomSampler(DATA, num_samples=6),
    "random, replaced": lambda: RandomSampler(DATA, replacement=True, num_samples=31),
    "subset": lambda: SubsetRandomSampler(SUBSET),
    "subset, seeded": lambda: SubsetRandomSampler(SUBSET, generator=torch.Generator().manual_seed(1)),
    "weighted": lambda: WeightedRandomSampler([1.0, 4.0] + [0.0] * 19 + [2.0, 3.0], 40),
    "weighted, once": lambda: WeightedRandomSampler([1.0] * COUNT, 11, replacement=False),
    "distributed, one process": lambda: DistributedSampler(DATA, num_replicas=1, rank=0),
    "list": lambda: [4, 2, 2, 0],
    "range": lambda: range(3, 12),
    "array": lambda: np.array([5, 1, 1]),
    "tensor": lambda: torch.tensor([5, 1, 1]),
    **{
        f"own, {of}": lambda of=of: Own(of)
        for of in ("epoch", "global torch", "global numpy", "global python", "torch", "python", "numpy", "old numpy")
    },
}
REPEATED = {name for name in SAMPLERS if len(list(SAMPLERS[name]())) > len(set(map(int, SAMPLERS[name]())))}
BATCH_SAMPLERS = {
    "plain": lambda: BatchSampler(SubsetRandomSampler(SUBSET), 3, drop_last=False),
    "plain, full ones": lambda: BatchSampler(SubsetRandomSampler(SUBSET), 3, drop_last=True),
    "lists": lambda: [[0, 1], [2], [3, 4, 5, 5]],
    "own": Buckets,
    "own, around a sampler": lambda: Pairs(Own("python")),
}


class Pairs:
    """A batch sampler around a sampler."""

    def __init__(self, sampler):
        self.sampler = sampler

    def __len__(self):
        return COUNT // 2

    def __iter__(self):
        indices = list(self.sampler)
        return iter([(indices[2 * number], indices[2 * number + 1]) for number in range(COUNT // 2)])
