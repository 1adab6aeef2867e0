"""A loader reads what torch's DataLoader would read with the same sampler."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler, WeightedRandomSampler

from distill_core.data import Loader, SeedPath, TensorData, as_loader

from .samplers import BATCH_SAMPLERS, COUNT, DATA, REPEATED, SAMPLERS, SUBSET, Noisy, Own

PLACES = [SeedPath(s, t, e) for s in (0, 1) for t in (0, 1) for e in (0, 1)]


def torch_loader(name, workers=0):
    if name in SAMPLERS:
        return DataLoader(DATA, 4, sampler=SAMPLERS[name](), num_workers=workers)
    return DataLoader(DATA, batch_sampler=BATCH_SAMPLERS[name](), num_workers=workers)


def read(loader, seed_path=None, **options):
    return [batch["index"].tolist() for batch in loader.batches(seed_path or SeedPath(), **options)]


def same(one, other):
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        assert torch.equal(first["input"], second["input"])
        assert torch.equal(first["index"], second["index"])


@pytest.fixture
def processes(monkeypatch):
    """Pretend to be one of several processes."""

    def pretend(number, count):
        monkeypatch.setattr("distill_core.data._loader.rank", lambda: number)
        monkeypatch.setattr("distill_core.data._loader.world_size", lambda: count)

    return pretend


@pytest.mark.parametrize("name", [*SAMPLERS, *BATCH_SAMPLERS])
def test_an_epoch_is_one_that_torch_could_have_given(name):
    theirs = [batch[0][:, 0].long().tolist() for batch in torch_loader(name)]
    loader = as_loader(torch_loader(name))
    for seed_path in PLACES:
        ours = read(loader, seed_path)
        assert [len(batch) for batch in ours] == [len(batch) for batch in theirs]
        assert {index for batch in ours for index in batch} <= allowed(name)
        if name not in REPEATED and name not in {"weighted", "random, replaced", "random, fewer", "weighted, once"}:
            count = Counter(index for batch in theirs for index in batch)
            if not name.endswith("full ones") and "around" not in name:
                got = Counter(index for batch in ours for index in batch)
                assert sorted(got.values()) == sorted(count.values())
        assert len(loader) == loader.num_training_batches() == len(ours) == len(theirs)
        assert loader.samples_per_epoch >= sum(map(len, ours)) > 0
        assert loader.batch_size == max(map(len, theirs)) or name in SAMPLERS or name.startswith("plain")


def allowed(name):
    subsets = {"subset", "subset, seeded", "plain", "plain, full ones"}
    few = {
        "the first few": range(9),
        "random, of the first few": range(9),
        "weighted": [0, 1, 21, 22],
        "list": [0, 2, 4],
    }
    few |= {"range": range(3, 12), "array": [1, 5], "tensor": [1, 5], "lists": range(6)}
    return set(SUBSET if name in subsets else few.get(name, range(COUNT)))


@pytest.mark.parametrize("name", [*SAMPLERS, *BATCH_SAMPLERS])
def test_an_epoch_is_the_same_however_it_is_come_to(name):
    loader = as_loader(torch_loader(name))
    there = {seed_path: list(loader.batches(seed_path)) for seed_path in PLACES}
    torch.manual_seed(99)
    random.seed(99)
    again = as_loader(torch_loader(name))
    for seed_path in reversed(PLACES):
        same(list(again.batches(seed_path, start=1)), there[seed_path][1:])
    orders = {str([batch["index"].tolist() for batch in batches]) for batches in there.values()}
    fixed = {"sequential", "the first few", "list", "range", "array", "tensor", "lists"}
    assert len(orders) == (1 if name in fixed else 2 if name in {"distributed, one process", "own, epoch"} else 8)


@pytest.mark.parametrize("name", ["random, several times", "own, python", "plain", "own"])
def test_workers_change_nothing(name):
    here = list(as_loader(torch_loader(name)).batches(SeedPath(1, 2, 3)))
    for workers in (1, 2):
        same(list(as_loader(torch_loader(name, workers)).batches(SeedPath(1, 2, 3))), here)


@pytest.mark.parametrize("name", [*SAMPLERS, *BATCH_SAMPLERS])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_processes_share_what_one_reads(name, count, processes):
    alone = as_loader(torch_loader(name))
    whole = [index for batch in read(alone, PLACES[3]) for index in batch]
    parts, sizes, trained = [], set(), set()
    for number in range(count):
        processes(number, count)
        loader = as_loader(torch_loader(name))
        parts += [index for batch in read(loader, PLACES[3]) for index in batch]
        plan = loader.plan(PLACES[3], even=True)
        assert len(plan.indices) == loader.num_training_batches() <= len(loader)
        assert all(len(index) for index in plan.indices)
        sizes.add(tuple(plan.global_sizes))
        trained.add(len(plan.indices))
    assert len(sizes) == len(trained) == 1
    if name == "plain, full ones":  # several processes together omit more
        assert Counter(parts) <= Counter(SUBSET)
    else:
        assert Counter(parts) == Counter(whole)
        assert len(whole) - sum(sizes.pop()) < count


@pytest.mark.parametrize("name", sorted(REPEATED))
def test_a_sample_that_comes_several_times_is_augmented_anew(name, processes):
    batches = list(as_loader(torch_loader(name)).batches(SeedPath(1)))
    rows = torch.cat([batch["input"] for batch in batches])
    assert len(rows.unique(dim=0)) == len(rows) > len(rows[:, 0].unique())
    shared = []
    for number in range(2):
        processes(number, 2)
        shared += [batch["input"] for batch in as_loader(torch_loader(name)).batches(SeedPath(1))]
    assert torch.equal(torch.cat(shared).sort(0).values, rows.sort(0).values)


def test_samples_that_come_once_look_as_they_do_without_a_sampler():
    plain = torch.cat([batch["input"] for batch in Loader(DATA, 4).batches(SeedPath(1))])
    drawn = torch.cat([batch["input"] for batch in Loader(DATA, 4, sampler=[7, 3, 9]).batches(SeedPath(1))])
    assert torch.equal(drawn, plain[[7, 3, 9]])


@pytest.mark.parametrize("name", [*SAMPLERS, *BATCH_SAMPLERS])
def test_nothing_outside_is_touched(name):
    given = torch_loader(name)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    order = as_loader(given).plan(SeedPath(4)).indices
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])
    generator = getattr(given.sampler, "generator", None)
    state = None if generator is None else generator.get_state()
    list(as_loader(given))
    assert generator is None or torch.equal(generator.get_state(), state)
    assert torch.equal(torch.cat(list(order)), torch.cat(list(as_loader(given).plan(SeedPath(4)).indices)))


def test_weights_are_frequencies():
    weights = [0.0, 1.0, 2.0, 5.0] + [0.0] * (COUNT - 4)
    loader = Loader(TensorData({"input": torch.zeros(COUNT)}), 8, weights=weights)
    drawn = torch.cat([loader.order(SeedPath(3, 0, epoch)) for epoch in range(800)])
    assert len(drawn) == 800 * COUNT
    found = torch.bincount(drawn, minlength=COUNT) / len(drawn)
    assert torch.allclose(found, torch.tensor(weights) / 8, atol=0.015)
    assert found[0] == 0
    assert torch.equal(loader.order(SeedPath(3, 0, 5)), loader.order(SeedPath(3, 0, 5)))
    assert len({tuple(loader.order(seed_path).tolist()) for seed_path in PLACES}) == 8


def test_held_out_samples_never_stand_in_for_bad_ones():
    class Damaged(Dataset):
        def __len__(self):
            return 100

        def __getitem__(self, index):
            if index in (1, 2):
                raise ValueError("damaged")
            return torch.tensor(index), 0

    subset = [1, 2, 3, 4, 5]
    for options in (
        {"sampler": SubsetRandomSampler(subset)},
        {"weights": [float(index in subset) for index in range(100)]},
    ):
        loader = Loader(Damaged(), 2, max_bad_samples=2, **options)
        seen = {
            int(value)
            for epoch in range(5)
            for batch in loader.batches(SeedPath(0, 0, epoch))
            for value in batch["input"]
        }
        assert seen <= {3, 4, 5}


def test_a_data_set_is_never_copied_with_its_sampler():
    class Large(Noisy):
        def __deepcopy__(self, memo):
            raise AssertionError

    sampler = Own("python")
    sampler.source, sampler.other = Large(), Large()
    assert len(Loader(sampler.source, 4, sampler=sampler).plan(SeedPath()).indices) == 6


def test_what_changes_a_sampler_between_epochs_counts():
    sampler = WeightedRandomSampler([1.0] + [0.0] * (COUNT - 1), 5)
    loader = Loader(DATA, 5, sampler=sampler)
    assert read(loader) == [[0] * 5]
    sampler.weights = sampler.weights.flip(0)
    assert read(loader) == [[COUNT - 1] * 5]
