"""Worker processes survive from epoch to epoch; each option of a DataLoader is honoured or refused by name."""

from __future__ import annotations

import inspect
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset

from distill_core.data import Loader, SeedPath, TensorData, WorkerOptions, as_loader
from distill_core.data._as_loader import OPTIONS
from distill_core.errors import DataError

COUNT = 24


class Noisy(Dataset):
    """Says which process reads, and draws from all three generators."""

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(1).item()]), os.getpid()


class Damaged(Noisy):
    def __getitem__(self, index):
        if index == 13:
            raise ValueError("damaged")
        if index == 14:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def read(batches):
    """Inputs, and the processes that read them."""
    batches = list(batches)
    pids = {pid for batch in batches for pid in batch["target"].tolist()}
    return torch.cat([batch["input"] for batch in batches]), pids


def expected(seed_path, start=0):
    return read(Loader(Noisy(), 4, shuffle=True).batches(seed_path, start=start))[0]


def seed_path(epoch):
    return SeedPath(1, 0, epoch)


def test_workers_survive_epochs_whole_partial_and_abandoned():
    loader = Loader(Noisy(), 4, shuffle=True, num_workers=2)
    first, pids = read(loader.batches(seed_path(0)))
    assert torch.equal(first, expected(seed_path(0)))
    assert len(pids) == 2
    assert os.getpid() not in pids
    for start in (0, 2, 5):
        rows, again = read(loader.batches(seed_path(1), start=start))
        assert torch.equal(rows, expected(seed_path(1), start))
        assert again <= pids
    for taken in (0, 1, 3):
        abandoned = loader.batches(seed_path(2))
        for _ in range(taken):
            next(abandoned)
        abandoned.close()
        rows, again = read(loader.batches(seed_path(3)))
        assert torch.equal(rows, expected(seed_path(3)))
        assert again <= pids


def test_two_iterations_at_once_do_not_disturb_each_other():
    loader = Loader(Noisy(), 4, shuffle=True, num_workers=1)
    pairs = list(zip(loader.batches(seed_path(0)), loader.batches(seed_path(1)), strict=True))
    assert torch.equal(read([one for one, _ in pairs])[0], expected(seed_path(0)))
    assert torch.equal(read([other for _, other in pairs])[0], expected(seed_path(1)))


@pytest.mark.parametrize(("start", "error"), [(3, ValueError), (7, RuntimeError)])
def test_after_an_error_there_are_new_workers(start, error):
    """Sample 13 raises, sample 14 kills its worker."""
    loader = Loader(Damaged(), 2, sampler=[0, 1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 10, 11, 12, 14, 15], num_workers=1)
    _, before = read(loader.batches(seed_path(0), plan=loader.plan(seed_path(0)).pick([0, 1])))
    with pytest.raises(error):
        list(loader.batches(seed_path(0), start=start))
    rows, after = read(loader.batches(seed_path(0), plan=loader.plan(seed_path(0)).pick([0, 1])))
    assert rows[:, 0].tolist() == [0, 1, 2, 3]
    assert not after & before


@pytest.mark.parametrize("closed", [True, False])
def test_workers_end_with_their_loader(closed):
    loader = Loader(Noisy(), 4, num_workers=2)
    _, pids = read(loader)
    assert all(map(is_running, pids))
    if closed:
        loader.close()
    else:
        del loader
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_change_of_the_loader_reaches_its_workers():
    loader = Loader(Noisy(), 4, num_workers=1)
    read(loader)
    loader.collate = lambda samples: (torch.ones(len(samples), 4), torch.zeros(len(samples)))
    assert read(loader)[0].unique().tolist() == [1]


def test_reading_leaves_the_global_generators_alone():
    for workers in (0, 2):
        loader = Loader(Noisy(), 4, shuffle=True, num_workers=workers)
        before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
        list(loader)
        assert random.getstate() == before[0]
        assert (np.random.get_state()[1] == before[1]).all()
        assert torch.equal(torch.get_rng_state(), before[2])


def mark(worker):
    os.environ["DISTILL_TEST_WORKER"] = f"worker {worker}"


class Marked(Noisy):
    def __getitem__(self, index):
        return os.environ.get("DISTILL_TEST_WORKER", "none"), os.getpid()


def test_init_functions_run_in_each_worker():
    batches = list(as_loader(DataLoader(Marked(), 4, num_workers=2, worker_init_fn=mark)))
    assert {name for batch in batches for name in batch["input"]} == {"worker 0", "worker 1"}


@pytest.mark.parametrize("persistent", [False, True])
def test_a_dataloader_keeps_its_workers_if_it_says_so(persistent):
    data = DataLoader(Noisy(), 4, shuffle=True, num_workers=2, persistent_workers=persistent)
    first, pids = read(as_loader(data).batches(seed_path(0)))
    second, others = read(as_loader(data).batches(seed_path(1)))
    assert (others == pids) is persistent
    assert torch.equal(first, expected(seed_path(0)))
    assert torch.equal(second, expected(seed_path(1)))


def test_spawned_workers_read_the_same():
    samples = TensorDataset(torch.arange(COUNT), torch.arange(COUNT))  # a class that a new process can import
    data = DataLoader(samples, 4, shuffle=True, num_workers=1, multiprocessing_context="spawn")
    read_there = [batch["input"] for batch in as_loader(data).batches(seed_path(0))]
    assert torch.equal(torch.cat(read_there), Loader(samples, 4, shuffle=True).order(seed_path(0)))


def test_slow_workers_time_out():
    class Slow(Noisy):
        def __getitem__(self, index):
            time.sleep(20)

    with pytest.raises(RuntimeError, match="timed out after 1 seconds"):
        list(as_loader(DataLoader(Slow(), 4, num_workers=1, timeout=1)))


def collate(samples):
    return torch.ones(len(samples)), torch.zeros(len(samples))


GIVEN = {
    "batch_size": ({"batch_size": 7}, lambda loader: loader.batch_size == 7 and len(loader) == 4),
    "shuffle": ({"shuffle": True}, lambda loader: loader.shuffle),
    "sampler": ({"sampler": [3, 1]}, lambda loader: loader.order(SeedPath()).tolist() == [3, 1]),
    "batch_sampler": ({"batch_sampler": [[3, 1], [2]]}, lambda loader: len(loader.plan(SeedPath()).indices) == 2),
    "num_workers": ({"num_workers": 2}, lambda loader: loader.num_workers == 2),
    "collate_fn": ({"collate_fn": collate}, lambda loader: next(iter(loader))["input"].tolist() == [1]),
    "pin_memory": ({"pin_memory": True}, lambda loader: loader.workers.pin_memory),
    "drop_last": ({"batch_size": 7, "drop_last": True}, lambda loader: loader.drop_last and len(loader) == 3),
    "timeout": ({"num_workers": 1, "timeout": 5}, lambda loader: loader.workers.timeout == 5),
    "worker_init_fn": (
        {"num_workers": 1, "worker_init_fn": mark},
        lambda loader: loader.workers.worker_init_fn is mark,
    ),
    "multiprocessing_context": (
        {"num_workers": 1, "multiprocessing_context": "spawn"},
        lambda loader: loader.workers.multiprocessing_context.get_start_method() == "spawn",
    ),
    "generator": (
        {"shuffle": True, "generator": torch.Generator()},
        lambda loader: sorted(loader.order(SeedPath()).tolist()) == list(range(COUNT)),
    ),
    "prefetch_factor": ({"num_workers": 1, "prefetch_factor": 5}, lambda loader: loader.workers.prefetch_factor == 5),
    "persistent_workers": (
        {"num_workers": 1, "persistent_workers": True},
        lambda loader: loader.workers.persistent_workers,
    ),
    "pin_memory_device": ({"pin_memory_device": "cuda"}, "pin_memory_device='cuda' is deprecated and torch ignores it"),
    "in_order": (
        {"num_workers": 1, "in_order": False},
        "in_order=False lets the order of batches depend on timing, so a run could not be repeated",
    ),
}
ALSO_REFUSED = [
    (
        {"batch_size": None},
        "batch_size=None: a DataLoader whose dataset returns batches has no samples to seed and to count",
    ),
    ({"timeout": 5}, "timeout=5 needs worker processes, but num_workers is 0"),
]


def test_every_option_of_a_dataloader_is_decided_on():
    """A new option of torch fails here until somebody decides."""
    options = set(inspect.signature(DataLoader.__init__).parameters) - {"self"}
    assert set(OPTIONS) == options == {"dataset", *GIVEN}


@pytest.mark.parametrize("name", GIVEN)
def test_each_option_is_honoured_or_refused(name):
    options, outcome = GIVEN[name]
    if isinstance(outcome, str):
        with pytest.raises(DataError) as error:
            as_loader(DataLoader(Noisy(), **options))
        assert str(error.value).partition("\n")[0] == outcome
    else:
        assert outcome(as_loader(DataLoader(Noisy(), **options)))
    assert ("refused" in OPTIONS[name].partition(";")[0]) is isinstance(outcome, str)


@pytest.mark.parametrize(("options", "sentence"), ALSO_REFUSED)
def test_what_torch_would_fail_at_is_refused(options, sentence):
    with pytest.raises(DataError) as error:
        as_loader(DataLoader(Noisy(), **options))
    assert str(error.value).partition("\n")[0] == sentence


def test_a_dataloader_that_iterates_in_its_own_way_is_refused():
    class Other(DataLoader):
        def __iter__(self):
            return iter(())

    with pytest.raises(DataError, match="Other overrides how a DataLoader iterates"):
        as_loader(Other(Noisy()))


def test_an_option_that_is_not_known_is_refused(monkeypatch):
    monkeypatch.delitem(OPTIONS, "timeout")
    assert as_loader(DataLoader(Noisy())).num_workers == 0
    with pytest.raises(DataError, match="the option timeout=5 of DataLoader is not known to distill_core"):
        as_loader(DataLoader(Noisy(), timeout=5))


def test_an_option_that_is_changed_later_counts():
    data = DataLoader(Noisy(), 4)
    assert as_loader(data) is as_loader(data)
    data.collate_fn = collate
    assert next(iter(as_loader(data)))["input"].tolist() == [1] * 4


def test_an_order_of_fewer_samples_than_there_are_is_kept():
    data = DataLoader(Noisy(), 4, sampler=RandomSampler(range(5)))
    assert sorted(as_loader(data).order(SeedPath()).tolist()) == list(range(5))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"workers": WorkerOptions(prefetch_factor=2)},
            "prefetch_factor=2 needs worker processes, but num_workers is 0",
        ),
        ({"num_workers": -1}, "num_workers must be at least 0, got -1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, sentence):
    with pytest.raises(DataError) as error:
        Loader(Noisy(), 4, **options)
    assert str(error.value).partition("\n")[0] == sentence


def test_a_collate_function_that_would_never_run_is_refused():
    with pytest.raises(DataError, match="a TensorData is read one batch at a time"):
        as_loader(DataLoader(TensorData({"input": torch.zeros(3)}), collate_fn=collate))
