from __future__ import annotations

import logging

import pytest
import torch
from torch.utils.data import IterableDataset, Subset

from distill_core.data import Loader, SeedPath, Stream, WorkerOptions
from distill_core.errors import DataError, Location


class Files:
    """Twelve files; those in `bad` cannot be read. The sample says which file and which draw it is."""

    def __init__(self, bad=()):
        self.samples = [(f"images/{number}.png", 0) for number in range(12)]
        self.bad = set(bad)

    def __len__(self):
        return 12

    def __getitem__(self, index):
        draw = torch.rand(())
        if index in self.bad:
            message = "truncated"
            raise OSError(message)
        return torch.tensor(float(index)), draw


class Refused(Files):
    def __getitem__(self, index):
        return refuse(index) if index == 7 else super().__getitem__(index)


class RefusedStream(IterableDataset):
    def __iter__(self):
        return map(Refused().__getitem__, range(12))


def refuse(samples):
    message = "the sample is damaged"
    raise DataError(message, key="data", hint="remove it", location=Location("a.yaml", 1, 2))


def read(loader, epochs=2):
    return [
        {name: value.tolist() for name, value in batch.items()}
        for epoch in range(epochs)
        for batch in loader.batches(SeedPath(1, 0, epoch))
    ]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_replacements_are_the_same_for_any_number_of_workers_and_logged_once(workers, caplog):
    with caplog.at_level(logging.WARNING, "distill"):
        found = read(Loader(Files({3, 8}), 4, shuffle=True, num_workers=workers, max_bad_samples=2))
    assert sorted(record.getMessage() for record in caplog.records) == [
        "another sample replaces sample 3 of Files (images/3.png): OSError: truncated",
        "another sample replaces sample 8 of Files (images/8.png): OSError: truncated",
    ]
    assert found == read(Loader(Files({3, 8}), 4, shuffle=True, max_bad_samples=2))
    whole = read(Loader(Files(), 4, shuffle=True))
    for batch, expected in zip(found, whole, strict=True):
        assert batch["index"] == [int(number) for number in batch["input"]]
        for index, wanted, draw, as_before in zip(
            batch["index"], expected["index"], batch["target"], expected["target"], strict=True
        ):
            assert draw == as_before
            assert index == wanted if wanted not in (3, 8) else index not in (3, 8)


def test_more_than_may_be_end_the_run_and_are_all_named():
    with pytest.raises(DataError) as error:
        read(Loader(Files({3, 8}), 4, max_bad_samples=1))
    assert str(error.value) == (
        "more samples than the 1 of max_bad_samples cannot be read:\n"
        "  sample 3 of Files (images/3.png): OSError: truncated\n"
        "  sample 8 of Files (images/8.png): OSError: truncated"
    )


def test_when_nothing_can_be_read_there_is_nothing_to_stand_in():
    with pytest.raises(DataError, match=r"^neither a sample nor its replacements can be read:\n  sample 0 of"):
        read(Loader(Files(range(12)), 4, max_bad_samples=100))


@pytest.mark.parametrize("workers", [0, 1])
def test_by_default_the_first_bad_sample_ends_the_run_with_its_place(workers):
    data = Subset(Files({3}), [2, 3])
    with pytest.raises(OSError, match="truncated") as error:
        read(Loader(data, 2, num_workers=workers))
    told = "\n".join([str(error.value), *getattr(error.value, "__notes__", ())])
    assert "while reading sample 1 of Subset (images/3.png)" in told


@pytest.mark.parametrize(
    "loader",
    [
        lambda workers: Loader(Refused(), 4, num_workers=workers),
        lambda workers: Loader(Refused(), 4, num_workers=workers, workers=WorkerOptions(persistent_workers=False)),
        lambda workers: Loader(Files(), 4, num_workers=workers, collate=refuse),
        lambda workers: Stream(RefusedStream(), 4, num_workers=workers),
    ],
    ids=["sample", "workers of one epoch", "collate", "stream"],
)
def test_an_error_for_the_user_is_the_same_with_and_without_workers(loader):
    errors = []
    for workers in (0, 1):
        with pytest.raises(DataError) as error:
            read(loader(workers))
        errors.append(error.value)
    here, there = errors
    assert str(there) == str(here) == "a.yaml:1:2: the sample is damaged (at data)\n  hint: remove it"
    assert there.problems == here.problems
    assert getattr(there, "__notes__", ()) == getattr(here, "__notes__", ())
    assert "Traceback" in str(there.__cause__)
