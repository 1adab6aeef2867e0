"""Trackers as they are installed (`hatch run trackers:test`): what they store, what they continue, whom they ask."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.trackers

RUN = """
import atexit, sys
asked = []
atexit.register(lambda: open("asked", "w").write(str(asked)))  # the first to be registered is the last to be called
sys.addaudithook(lambda event, arguments: asked.append(arguments[0]) if event == "socket.getaddrinfo" else None)

from functools import partial
from pathlib import Path
import torch
from distill_core.cli import run_experiment
from distill_core.data import Loader, TensorData
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Callback, Checkpoint, Track, Trainer

class Fail(Callback):
    fails = False

    def on_step_end(self, run):
        if self.fails and run.state.step == 3:
            raise ArithmeticError

def fit(fails, resume):
    torch.manual_seed(0)
    data = Loader(TensorData({"input": torch.randn(8, 3), "target": torch.randn(8, 2)}), 4)
    term = Term(loss=torch.nn.MSELoss(), inputs={"input": "student", "target": "batch.target"})
    stage = Stage(epochs=2, losses={"mse": term}, optimizer=partial(torch.optim.SGD, lr=0.1))
    callbacks = [Track(sys.argv[1]), Fail(), Checkpoint()]
    callbacks[1].fails = fails
    experiment = Experiment(
        models={"student": torch.nn.Linear(3, 2)}, data={"train": data}, stages=[stage], log_every=1, callbacks=callbacks
    )
    Trainer(experiment, output=Path("first"), progress=False).fit(resume=resume)

try:
    fit(True, False)
except ArithmeticError:
    fit(False, True)
run_experiment("file.yaml", output="second")
"""
FILE = """
models:
  student: !import_call:torch.nn.Linear [3, 2]
data:
  train: !import_call:distill_core.data.Loader
    dataset: !import_call:distill_core.data.TensorData
      tensors: {input: !import_call:torch.ones [8, 3], target: !import_call:torch.zeros [8, 2]}
    batch_size: 4
stages:
  - epochs: 2
    losses:
      mse: {loss: !import_call:torch.nn.MSELoss {}, inputs: {input: student, target: batch.target}}
    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
log_every: 1
callbacks:
  - !import_call:distill_core.train.Track {to: NAME, project: mine}
"""


def stored_by_mlflow(folder: Path) -> Any:
    with sqlite3.connect(folder / "mlflow.db") as database:
        names = dict(database.execute("select run_uuid, name || ' ' || status from runs"))
        rows = database.execute("select run_uuid, step, value from metrics where key = 'train/loss'")
        return [(names[run], step, value) for run, step, value in rows]


def stored_by_trackio(folder: Path) -> Any:
    rows = []
    for file in (folder / "trackio").glob("*.db"):
        with sqlite3.connect(file) as database:
            for name, step, metrics in database.execute("select run_name, step, metrics from metrics"):
                rows.append((f"{name.rpartition('-')[0]} FINISHED", step, json.loads(metrics)["train/loss"]))
            assert database.execute("select count(distinct run_name) from metrics").fetchone() == (1,)
    return rows


def logged(folder: Path) -> Any:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {(f"{folder.name} FINISHED", line["step"], line["loss"]) for line in lines if line["split"] == "train"}


@pytest.fixture(scope="module", params=["mlflow", "trackio", "wandb"])
def tracked(request, tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "file.yaml").write_text(FILE.replace("NAME", request.param))
    removed = ("CI", "PYTEST_", "WANDB", "MLFLOW", "TRACKIO", "GITHUB")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    environment |= {"HOME": str(folder), "TRACKIO_DIR": str(folder / "trackio")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, request.param],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return request.param, folder


def test_each_number_of_metrics_jsonl_is_stored_and_a_resumed_run_is_continued(tracked):
    name, folder = tracked
    expected = logged(folder / "first") | logged(folder / "second")
    assert len(expected) == 8
    if name == "wandb":
        runs = sorted(path.name.rpartition("-")[2] for path in folder.glob("*/wandb/offline-run-*"))
        assert len(runs) == 3
        assert len(set(runs)) == 2
        assert all(b"train/loss" in path.read_bytes() for path in folder.glob("*/wandb/offline-run-*/*.wandb"))
        return
    stored = {"mlflow": stored_by_mlflow, "trackio": stored_by_trackio}[name](folder)
    assert set(stored) == expected


def test_no_host_is_looked_up(tracked):
    assert (tracked[1] / "asked").read_text() == "[]"
