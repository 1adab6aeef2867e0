from __future__ import annotations

import random
from collections import UserDict

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torch.utils.data import TensorDataset as TorchTensorDataset

from distill_core.data import Loader, SeedPath, TensorData, as_loader, sample_seeds
from distill_core.errors import DataError

COUNT = 23


class Noisy(Dataset):
    """Draws from all three generators, as augmentations do."""

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(1).item()]), index % 3


def tensors():
    return TensorData({"input": torch.arange(COUNT)[:, None].float(), "target": torch.arange(COUNT) % 3})


@pytest.mark.parametrize("dataset", [tensors(), Noisy()], ids=["tensors", "samples"])
def test_every_sample_once_with_its_index(dataset):
    for shuffle in (False, True):
        batches = list(Loader(dataset, 5, shuffle=shuffle).batches(SeedPath(1, 2, 3)))
        assert [len(batch["index"]) for batch in batches] == [5, 5, 5, 5, 3]
        index = torch.cat([batch["index"] for batch in batches])
        assert sorted(index.tolist()) == list(range(COUNT))
        assert torch.equal(torch.cat([batch["input"] for batch in batches])[:, 0].long(), index)
        assert torch.equal(torch.cat([batch["target"] for batch in batches]), index % 3)
        assert (index.tolist() == list(range(COUNT))) is not shuffle


def test_order_follows_from_the_place_and_nothing_else():
    loader = Loader(tensors(), 5, shuffle=True)
    orders = {
        seed_path: loader.order(seed_path).tolist()
        for seed_path in [SeedPath(s, t, e) for s in (0, 1) for t in (0, 1) for e in (0, 1)]
    }
    assert len({tuple(order) for order in orders.values()}) == 8
    torch.manual_seed(99)
    assert loader.order(SeedPath(0, 1, 1)).tolist() == orders[SeedPath(0, 1, 1)]


def test_workers_and_start_change_nothing():
    seed_path = SeedPath(3, 0, 4)
    whole = list(Loader(Noisy(), 5, shuffle=True).batches(seed_path))
    with_workers = list(Loader(Noisy(), 5, shuffle=True, num_workers=2).batches(seed_path))
    resumed = list(Loader(Noisy(), 5, shuffle=True, num_workers=2).batches(seed_path, start=2))
    for first, second in zip(whole, with_workers, strict=True):
        assert torch.equal(first["input"], second["input"])
    for first, second in zip(whole[2:], resumed, strict=True):
        assert torch.equal(first["input"], second["input"])
    other = list(Loader(Noisy(), 5, shuffle=True).batches(SeedPath(3, 0, 5)))
    assert not torch.equal(whole[0]["input"].sort(0)[0], other[0]["input"].sort(0)[0])


def test_augmentation_of_tensors_depends_on_place_and_index_only():
    data = TensorData({"input": torch.zeros(COUNT)}, augment=lambda batch, seeds: seeds.double())
    seen = {}
    for size in (4, 7):
        seen[size] = {}
        for batch in Loader(data, size, shuffle=True).batches(SeedPath(1, 0, 2)):
            seen[size] |= dict(zip(batch["index"].tolist(), batch["input"].tolist(), strict=True))
    assert seen[4] == seen[7]
    assert len(set(seen[4].values())) == COUNT


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 5, 11, 23, 30])
def test_lengths(size, drop_last):
    loader = Loader(tensors(), size, drop_last=drop_last)
    assert (
        len(loader)
        == len(list(loader))
        == loader.num_training_batches()
        == len(loader.plan(SeedPath(), even=True).indices)
    )


def test_mappings_and_named_parts():
    class Mapped(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return {"input_ids": torch.tensor([index]), "label": index}

    batch = next(iter(Loader(Mapped(), 2)))
    assert set(batch) == {"input_ids", "label", "index"}
    named = next(iter(Loader(TorchTensorDataset(torch.zeros(4), torch.ones(4)), 2, fields=("left", "right"))))
    assert set(named) == {"left", "right", "index"}
    collated = next(iter(Loader(Mapped(), 2, collate=lambda samples: UserDict(count=len(samples)))))
    assert collated["count"] == 2


def test_bad_sample_is_named():
    class Broken(Noisy):
        def __getitem__(self, index):
            if index == 7:
                raise ValueError("damaged")
            return super().__getitem__(index)

    with pytest.raises(ValueError, match="damaged") as error:
        list(Loader(Broken(), 5))
    assert error.value.__notes__ == ["while reading sample 7 of Broken"]
    with pytest.raises(ValueError, match="while reading sample 7 of Broken"):
        list(Loader(Broken(), 5, num_workers=1))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_repeated_sample_is_beside_itself_with_chance_of_its_own(workers):
    seed_path = SeedPath(1, 0, 2)
    loader = Loader(Noisy(), 6, shuffle=True, num_workers=workers, repeats=3)
    batches = list(loader.batches(seed_path))
    index = torch.cat([batch["index"] for batch in batches])
    plain = Loader(Noisy(), 6, shuffle=True).order(seed_path)
    assert len(index) == len(plain)
    assert torch.equal(index, plain.repeat_interleave(3)[: len(plain)])
    assert all(len(set(batch["input"][:3].flatten().tolist())) > 1 for batch in batches)
    for start in (1, 2):
        for one, other in zip(loader.batches(seed_path, start=start), batches[start:], strict=True):
            assert torch.equal(one["input"], other["input"])
    assert all(
        torch.equal(one["input"], other["input"])
        for one, other in zip(Loader(Noisy(), 6, shuffle=True, repeats=3).batches(seed_path), batches, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_batches_are_mixed_by_the_seeds_of_their_samples(workers):
    seen = []

    def mix(batch, seeds):
        seen.append((batch["index"], seeds))
        return batch | {"seed": seeds, "input": batch["input"] + batch["input"].roll(1, 0)}

    seed_path = SeedPath(1, 0, 2)
    mixed = list(Loader(Noisy(), 5, shuffle=True, num_workers=workers, mix=mix).batches(seed_path))
    plain = list(Loader(Noisy(), 5, shuffle=True).batches(seed_path))
    for (index, seeds), one, other in zip(seen, mixed, plain, strict=True):
        assert torch.equal(seeds, sample_seeds(seed_path, index))
        assert torch.equal(one["input"], other["input"] + other["input"].roll(1, 0))


def test_torch_loaders_are_taken_over():
    loader = as_loader(DataLoader(Noisy(), batch_size=4, shuffle=True, drop_last=True, num_workers=1))
    assert (loader.batch_size, loader.shuffle, loader.drop_last, loader.num_workers) == (4, True, True, 1)
    assert as_loader(loader) is loader


class Endless(IterableDataset):
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Loader(Endless(), 2),
            "Endless is an iterable dataset: a loader reads samples by index, so it needs `__getitem__` and `__len__`\n"
            "  hint: give a distill_core.data.Stream instead",
        ),
        (
            lambda: as_loader(DataLoader(Endless(), batch_size=None)),
            "batch_size=None: a DataLoader whose dataset returns batches has no samples to seed and to count\n"
            "  hint: give batch_size or batch_sampler",
        ),
        (
            lambda: Loader(iter([1]), 2),
            "list_iterator has no length: a loader reads samples by index, so the dataset needs one",
        ),
        (lambda: Loader([], 2), "list has no samples"),
        (lambda: Loader([1], 0), "batch_size must be at least 1, got 0"),
        (lambda: Loader([1], 4, repeats=3), "batch_size must be a multiple of repeats, got batch_size=4 and repeats=3"),
        (lambda: as_loader([1]), "list is not a loader\n  hint: give a distill_core.data.Loader or a torch DataLoader"),
        (
            lambda: next(iter(Loader(Noisy(), 2, fields=("input",)))),
            "a batch of Noisy has 2 parts, but `fields` names ['input']",
        ),
    ],
)
def test_what_cannot_be_loaded_is_refused(make, sentence):
    with pytest.raises(DataError) as error:
        make()
    assert str(error.value) == sentence


class WithIndex:
    """Samples that name their own number."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"input": float(index), "index": 100 + index}


class OneByOne(WithIndex):
    def __getitem__(self, index):
        return float(index), 100 + index


@pytest.mark.parametrize(
    "loader",
    [
        Loader(WithIndex(), 2),
        Loader(WithIndex(), 2, max_bad_samples=1),
        Loader(OneByOne(), 2, fields=("input", "index")),
        Loader(TensorData({"input": torch.ones(4), "index": torch.arange(4)}), 2),
        as_loader(DataLoader(WithIndex(), batch_size=2)),
    ],
    ids=["mapping", "bad samples", "tuple", "tensors", "torch"],
)
def test_a_field_of_the_data_called_index_is_refused(loader):
    with pytest.raises(DataError) as error:
        next(iter(loader))
    assert str(error.value) == (
        f"{type(loader.dataset).__name__} has a field 'index', the name under which a Loader gives the number of each "
        "sample in the dataset\n  hint: give the field another name"
    )
