"""The smallest experiment of each task on two and three processes: it trains, resumes, evaluates and exports as on one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distill_core.weights import read_state

from .several_processes import EXAMPLES

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
NUM_SAMPLES = 12
"""Samples of an update, which one, two and three processes share equally."""


def distill(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "distill_core", *words],
        cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths} | environment,
    )  # fmt: skip


def write(folder: Path, task: str, parallel: str, processes: int) -> None:
    """Write an experiment with its data."""
    folder.mkdir(parents=True)
    shutil.copy(HERE / "several_processes.py", folder)
    text = EXAMPLES[task].replace("PARALLEL", parallel).replace("BATCH", str(NUM_SAMPLES // processes))
    (folder / "first.yaml").write_text(text, encoding="utf-8")
    rows = [f"a {word} {noun}\t{word}" for noun in ("film", "book", "tea") for word in ("good", "bad")] * 4
    (folder / "texts.tsv").write_text("\n".join(["sentence\tlabel", *rows, ""]), encoding="utf-8")
    pairs = [{"prompt": f"the {n} is ", "completion": w * (i % 3 + 1)} for i in range(8) for n in ("tea", "film") for w in ("good", "bad")]  # fmt: skip
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n", encoding="utf-8")


def run(folder: Path, processes: int, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Train, on several processes unless one is enough."""
    start = ["run", "first.yaml"] if processes == 1 else ["launch", "first.yaml", "--processes", str(processes)]
    return distill(folder, *start, "--trust", "several_processes", *words, **environment)


def succeeded(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def student(folder: Path) -> dict[str, torch.Tensor]:
    return dict(read_state(folder / "student.safetensors").tensors)


def metrics_of(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "results.json").read_text(encoding="utf-8"))["test"]
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """From a task to the folder of its run on one process, which is trained once."""
    known: dict[str, Path] = {}

    def trained(task: str) -> Path:
        if task not in known:
            folder = tmp_path_factory.mktemp(task) / "one"
            write(folder, task, "ddp", 1)
            succeeded(run(folder, 1, "--output", "out"))
            known[task] = folder / "out"
        return known[task]

    return trained


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("task", EXAMPLES)
def test_several_processes_end_as_one(tmp_path, alone, task, parallel, processes):
    folder = tmp_path / "several"
    write(folder, task, parallel, processes)
    succeeded(run(folder, processes, "--output", "out"))

    # A detector averages its losses over the boxes of its own batch, and learns in train mode, with batch statistics.
    if task != "detection":
        torch.testing.assert_close(student(folder / "out"), student(alone(task)), rtol=1e-3, atol=2e-5)
        assert metrics_of(folder / "out") == pytest.approx(metrics_of(alone(task)), rel=1e-3, abs=1e-6)

    ended = run(folder, processes, "--output", "cut", END_ONCE="1")
    assert ended.returncode != 0
    assert "ended in the second epoch" in ended.stderr
    succeeded(run(folder, processes, "--output", "cut", "--resume"))
    for name, tensor in student(folder / "cut").items():
        assert torch.equal(tensor, student(folder / "out")[name]), name
    assert metrics_of(folder / "cut") == metrics_of(folder / "out")

    # One process reads what several wrote.
    again = json.loads(succeeded(distill(folder, "evaluate", "out", "--trust", "several_processes", "--json")))
    assert again["test"] == pytest.approx(metrics_of(folder / "out"), rel=1e-4, abs=1e-6)
    form = "safetensors" if task == "detection" else "pt2"  # a program takes tensors, not lists of images
    words = ["--trust", "several_processes", "--format", form, "--output", f"exported.{form}"]
    succeeded(distill(folder, "export", "out", *words))
    assert (folder / f"exported.{form}").is_file()
