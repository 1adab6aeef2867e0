"""A small experiment with a teacher, and the command line in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

TOY = '''
"""A task of nothing, for tests of the command line."""
import torch
from torch import nn
from torch.utils.data import TensorDataset
from distill_core.data import Loader
from distill_core.train import Callback


def points(split: str, *, size: int = 48, batch_size: int = 16) -> Loader:
    generator = torch.Generator().manual_seed(len(split))
    inputs = torch.randn(size, 4, generator=generator)
    return Loader(TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size, shuffle=split == "train")


def absent(*, batch_size: int) -> Loader:
    raise RuntimeError("these data are not here")


def example(*, batch_size):
    zeros = torch.zeros(batch_size, dtype=torch.long, device="meta")
    return {"input": torch.zeros(batch_size, 4, device="meta"), "target": zeros, "index": zeros}


absent.example_batch = example


class Net(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, 2)

    def forward(self, points):
        return self.head(self.body(points))


class Looking(Net):
    """Looks into its input, unless it is being compiled, as models of transformers look into their masks."""

    def forward(self, points):
        if not torch.compiler.is_compiling() and bool((points > 1e9).any()):
            raise ValueError("that is too much")
        return super().forward(points)


class Share:
    """The share of right answers."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.right = self.all = 0

    def update(self, preds, target) -> None:
        self.right += int((preds.argmax(1) == target).sum())
        self.all += len(target)

    def compute(self) -> float:
        return self.right / self.all


class Interrupt(Callback):
    """As if somebody pressed Ctrl-C after an epoch."""

    def __init__(self, epoch: int = 2) -> None:
        self.epoch = epoch

    def on_epoch_end(self, trainer) -> None:
        if trainer.state.epoch == self.epoch:
            raise KeyboardInterrupt


def number(input, target):
    return input.mean() * float(target.mean())


def broken(width: int = 8) -> Net:
    raise ValueError("there is no such width")
'''

EXPERIMENT = """\
# A student of a teacher.
about: a toy
seed: 3

models:
  teacher: !import_call:toy.Net {width: 16}
  student: !import_call:toy.Net {width: 4}

data:
  train: !import_call:toy.points {split: train}
  val: &val !import_call:toy.points {split: val}
  test: &test !import_call:toy.points {split: test}

log_every: 2
stages:
  - epochs: 3
    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
    losses:
      ce: {weight: 0.1, loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student, target: batch.target}}
      kd: {weight: 0.9, loss: !import_call:distill_core.losses.KDLoss {}, inputs: {student: student, teacher: teacher}}

callbacks:
  - !import_call:distill_core.train.Evaluate
    loader: *val
    metrics: &metrics
      share: {metric: !import_call:toy.Share {}, inputs: {preds: student, target: batch.target}}
  - !import_call:distill_core.train.Checkpoint {best: share}

test: {loader: *test, metrics: *metrics}
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the experiment; the current folder is its own and can import `toy`."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "small").mkdir()
    file = tmp_path / "small" / "toy.yaml"
    file.write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy", raising=False)
    return Path("small/toy.yaml")


@pytest.fixture
def distill(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `distill` with these words in this process."""
    from distill_core.cli import main

    for name in ("PYTHONSAFEPATH", "USE_HUB_KERNELS"):  # `main` sets them for its own process
        monkeypatch.setenv(name, os.environ.get(name, ""))

    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["distill", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(ended.value.code or 0, out, err)

    return run
