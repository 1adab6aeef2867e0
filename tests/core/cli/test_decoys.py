"""Files in the current folder that are called as libraries are, or as what git runs, run in no command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .command_tree import commands

DECOYS = (
    "torch yaml torchmetrics transformers numpy sitecustomize usercustomize json rich click accelerate safetensors "
    "datasets timm peft tensorboard matplotlib multiprocessing tempfile logging random decimal shlex socket "
    "toy distill_vision distill_nlp distill_zoo kernels deepspeed onnx triton psutil packaging"
).split()
SHADOWING = ["distill_core", "runpy"]
"""What `python -m distill_core` itself takes from the current folder, before any of it runs."""

EXPERIMENT = """\
models:
  student: !import_call:torch.nn.Linear [4, 2]
data:
  train: &data !import_call:distill_core.data.Loader
    dataset: !import_call:torch.utils.data.TensorDataset
      - !import_call:torch.ones [16, 4]
      - !import_call:torch.as_tensor [[0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]]
    batch_size: 8
    num_workers: 1
stages:
  - epochs: 1
    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
    losses:
      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student, target: batch.target}}
"""
METRIC = """\
callbacks:
  - !import_call:distill_core.train.Evaluate
    loader: *data
    metrics: {m: {metric: !import_call:torchmetrics.MeanMetric {}, inputs: {value: student}}}
"""


@pytest.fixture
def decoys(tmp_path, monkeypatch):
    """A folder in which every import and every program of git's leaves a mark; the marks are given."""
    folder, marks = tmp_path / "work", tmp_path / "marks"
    (folder / ".git/hooks").mkdir(parents=True)
    marks.mkdir()
    for name in [*DECOYS, *SHADOWING]:
        (folder / f"{name}.py").write_text(f"open({str(marks / name)!r}, 'w').close()\n")
    monkeypatch.chdir(folder)
    for words in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", *words], check=True)
    mark = f"touch {marks}/"
    for name, value in {"core.fsmonitor": f"{mark}monitor; false", "filter.ev=il.clean": f"{mark}filter; cat"}.items():
        subprocess.run(["git", "config", name, value], check=True)
    Path(".gitattributes").write_text("* filter=ev=il\n")
    Path(".git/hooks/post-index-change").write_text(f"#!/bin/sh\n{mark}hook\n")
    Path(".git/hooks/post-index-change").chmod(0o755)
    Path("run.yaml").write_text(EXPERIMENT)
    Path("metric.yaml").write_text(EXPERIMENT + METRIC)
    return marks


def started(command, *words):
    """How a command ended, started in a process of its own as a user does."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [sys.executable, *command, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


SCRIPT = ["-P", "-c", "from distill_core.cli import main; main()"]
"""`distill`: a script's own folder is on the import path, the current one is not."""


def test_a_run_imports_nothing_from_the_current_folder(decoys):
    done = started(SCRIPT, "run", "run.yaml", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert list(decoys.iterdir()) == []
    assert '"commit"' in Path("out/environment.json").read_text()


def test_several_processes_import_nothing_from_the_current_folder(decoys):
    done = started(SCRIPT, "launch", "run.yaml", "--processes", 2, "--output", "out")
    assert done.returncode == 0, done.stderr
    assert list(decoys.iterdir()) == []


def test_a_decoy_does_not_stand_for_a_package_that_a_file_names(decoys):
    """The package may be missing here."""
    done = started(SCRIPT, "launch", "metric.yaml", "--processes", 2, "--output", "out")
    assert done.returncode in (0, 2), done.stderr
    assert list(decoys.iterdir()) == []


def test_the_module_is_the_same_as_the_script(decoys):
    for name in SHADOWING:
        Path(f"{name}.py").unlink()
    done = started(["-m", "distill_core"], "check", "run.yaml", "--deep")
    assert done.returncode == 0, done.stderr
    assert list(decoys.iterdir()) == []


def test_the_command_that_draws_shapes_imports_nothing_from_the_current_folder(decoys):
    Path("distill_vision.py").unlink()  # `-m` finds it before the package
    Path("runpy.py").unlink()
    done = started(["-m", "distill_vision"], "shapes", "drawn", "--train", 2, "--test", 1)
    assert done.returncode == 0, done.stderr
    assert list(decoys.iterdir()) == []
    assert len(list(Path("drawn").rglob("*.png"))) == 3


def test_the_decoys_would_run(decoys):
    started(["-c", "import torchmetrics"])
    subprocess.run(["git", "status", "--porcelain"], check=True, capture_output=True)
    assert {"torchmetrics", "monitor"} <= {path.name for path in decoys.iterdir()}


AFTER_A_RUN = (
    ("evaluate", "out"), ("export", "out"), ("report", "out"), ("compare", "out", "out"), ("check", "run.yaml"), ("predict", "out", "--text", "a"),
    ("check", "metric.yaml"), ("check", "run.yaml", "--deep"), ("show", "run.yaml"), ("list", "losses"), ("list", "models"),
    ("list", "data"), ("list", "metrics"), ("sweep", "run.yaml", "seed=1,2", "--output", "sweep", "--metric", "loss"),
    ("slurm", "run.yaml", "--output", "queued"), ("cache", "plan", "run.yaml"), ("cache", "build", "run.yaml"),
    ("cache", "verify", "run.yaml"), ("convert-torchdistill", "run.yaml"), ("schema",), ("schema", "--tags", "run.yaml"),
    ("convert", "out/student.safetensors", "b.pt", "in_features=4", "out_features=2", "--model", "torch.nn.Linear"),
    ("inspect", "torch.nn.Linear", "in_features=4", "out_features=2"), ("new", "new.yaml"), ("doctor",), ("zoo", "list"), ("zoo", "info", "none/such"), ("zoo", "path", "none/such"),
    ("zoo", "download", "none/such"), ("zoo", "verify", "none/such"), ("zoo", "remove", "none/such"),
    ("zoo", "export", "none/such", "exported"), ("zoo", "add", "out"), ("run", "run.yaml", "--output", "out", "--resume"),
)  # fmt: skip


@pytest.mark.slow
def test_no_command_imports_anything_from_the_current_folder(decoys):
    assert started(SCRIPT, "run", "run.yaml", "--output", "out").returncode == 0
    for words in AFTER_A_RUN:
        done = started(SCRIPT, *words)
        assert "Traceback" not in done.stderr, done.stderr
        assert list(decoys.iterdir()) == [], words


def test_the_table_has_every_command():
    names = {words for words, _ in commands()}
    tried = {words[: len(name)] for words in AFTER_A_RUN for name in names}
    assert names - tried - {("launch",)} == set()
