"""`check --deep` on datasets that people write: it reads a few samples outside any device context, or says that it cannot."""

from __future__ import annotations

import pytest

DATASETS = '''
"""Datasets of many kinds, each of 40 samples with an input of 4 numbers and a class."""
import collections
import dataclasses
import io
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from distill_core.data import Loader


class Kind(Dataset):
    def __init__(self):
        self.rows = torch.arange(160.0).reshape(40, 4) / 160
        assert self.rows.device.type == "cpu"

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return self.rows[index], index % 2


class Plain(Kind):
    pass


class Numpy(Kind):
    def __init__(self):
        super().__init__()
        self.rows = self.rows.numpy()

    def __getitem__(self, index):
        return torch.from_numpy(np.asarray(self.rows[index], dtype=np.float32)), int(np.int64(index) % 2)


class Makes(Kind):
    """Makes tensors, looks into them, converts them."""

    def __getitem__(self, index):
        row = torch.tensor([float(index)] * 4)
        mean = row.mean().item()
        return torch.as_tensor(row.numpy() - mean) + torch.zeros(4), torch.tensor(index % 2)


class Lazy(Kind):
    """Opens its file in the first read; what it opens can be neither copied nor pickled."""

    def __init__(self):
        super().__init__()
        self.file = None
        self.lock = threading.Lock()
        Path("rows.bin").write_bytes(self.rows.numpy().tobytes())

    def __getitem__(self, index):
        if self.file is None:
            self.file = np.memmap("rows.bin", dtype=np.float32, mode="r", shape=(40, 4))
        return torch.from_numpy(np.array(self.file[index])), index % 2


class Slow(Kind):
    reads = 0

    def __getitem__(self, index):
        Slow.reads += 1
        assert Slow.reads <= 4, "a slow dataset is read only a few times"
        return super().__getitem__(index)


class Pictures(Kind):
    def __getitem__(self, index):
        image = pytest_image().resize((2, 2))
        return torch.from_numpy(np.array(image, dtype=np.float32)).flatten(), index % 2


def pytest_image():
    from PIL import Image

    return Image.new("L", (8, 8), 100)


Point = collections.namedtuple("Point", "value name")


@dataclasses.dataclass
class Note:
    text: str
    scores: list


class Nested(Kind):
    def __getitem__(self, index):
        extra = {"point": Point(torch.ones(3), "a"), "pair": (1, [2.0, torch.zeros(2)])}
        return {"input": self.rows[index], "target": index % 2, "extra": extra, "word": "x"}


class Records(Kind):
    def __getitem__(self, index):
        return {"input": self.rows[index], "target": index % 2, "note": Note("a", [torch.ones(2)])}


def collate_records(samples):
    for sample in samples:
        sample["note"].scores.append(sample.pop("input"))  # changes its samples
    rows = torch.stack([sample["note"].scores[-1] for sample in samples])
    return {"input": rows, "target": torch.tensor([s["target"] for s in samples]), "notes": [s["note"] for s in samples]}


class Broken(Kind):
    def __getitem__(self, index):
        raise KeyError("no such row")


class Absent(Kind):
    def __init__(self):
        raise FileNotFoundError("rows.csv")


class Ragged(Kind):
    def __getitem__(self, index):
        return torch.ones(4 + index % 7), index % 2


def loader(kind):
    return Loader(kind, 16, shuffle=True, num_workers=2, collate=collate_records if type(kind) is Records else None)


def torch_loader(kind):
    return DataLoader(kind, 16, num_workers=2, collate_fn=collate_records if type(kind) is Records else None)
'''
FINE = ("Plain", "Numpy", "Makes", "Lazy", "Slow", "Pictures", "Nested", "Records")


@pytest.fixture
def check(toy, distill, tmp_path, monkeypatch):
    """Check the experiment with a dataset of this kind, made by a function or named in the file."""
    (tmp_path / "kinds.py").write_text(DATASETS)
    monkeypatch.delitem(__import__("sys").modules, "kinds", raising=False)
    text = toy.read_text()

    def check(train, *overrides):
        new = text.replace("!import_call:toy.points {split: train}", train)
        assert new != text
        toy.write_text(new)
        return distill("check", toy, *overrides, "--deep", "--trust", "toy", "--trust", "kinds")

    return check


@pytest.mark.parametrize("kind", FINE)
@pytest.mark.parametrize("loader", ["loader", "torch_loader"])
def test_a_dataset_made_by_a_function(check, loader, kind):
    ended = check(f"!import_call:kinds.{loader} {{kind: !import_call:kinds.{kind} {{}}}}")
    assert (ended.err, ended.code) == ("", 0)
    assert "student       (16, 2)  float32" in ended.out
    assert "note" not in ended.out


@pytest.mark.parametrize("kind", ["Plain", "Numpy", "Makes", "Lazy", "Nested"])
@pytest.mark.parametrize("loader", ["distill_core.data.Loader", "torch.utils.data.DataLoader"])
def test_a_dataset_named_in_the_file(check, loader, kind):
    ended = check(f"!import_call:{loader} {{dataset: !import_call:kinds.{kind} {{}}, batch_size: 16}}")
    assert (ended.err, ended.code) == ("", 0)
    assert "student       (16, 2)  float32" in ended.out


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Broken", "KeyError: 'no such row', while reading sample"),
        ("Absent", "FileNotFoundError: rows.csv, while building kinds.Absent at small/toy.yaml:10:"),
        ("Ragged", "RuntimeError: stack expects each tensor to be equal size"),
    ],
)
def test_a_dataset_that_fails_is_a_problem_and_not_a_traceback(check, kind, reason):
    ended = check(f"!import_call:kinds.loader {{kind: !import_call:kinds.{kind} {{}}}}")
    assert ended.code == 2, ended
    assert "Traceback" not in ended.err
    assert "a first batch cannot be read, so nothing that takes it was checked: " in ended.err
    assert reason.partition(", while reading")[0] in ended.err


def test_a_dataset_that_fails_does_not_hide_another_problem(check):
    ended = check(
        "!import_call:kinds.loader {kind: !import_call:kinds.Broken {}}", "test.metrics.share.inputs.target=batch.label"
    )
    assert ended.code == 2
    assert "KeyError" in ended.err
    assert "the batch has no field 'label'" in ended.err
