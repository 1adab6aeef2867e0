"""The teacher sources of benchmarks/teacher_cache: each file runs on a few digits and does what it describes."""

from __future__ import annotations

import functools
import hashlib
import sys
from pathlib import Path

import pytest

import distill_core.weights
from distill_core.cli.run._run import run_experiment
from distill_vision.models import ConvNet

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "teacher_cache" / "configs" / "digits"
FEW = ["+data.train.labels=50", "data.train.batch_size=20", "stages.0.epochs=3"]
CHANGES = {"fast": ["sources.teacher.compile=eager"], "own_parts": ["stages.1.epochs=2"]}
BATCHES = 3 * 3

MODES = {
    "batch_statistics": "teacher in train mode, student learns",
    "fast": "teacher in eval mode in bf16 compiled, student learns",
    "shared": "teacher in eval mode, student learns, small learns",
    "average": "teacher in eval mode, student learns, student_ema in eval mode",
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a file in an empty folder; return its log, the student's hash and the input shapes of wide networks."""

    @functools.wraps(distill_core.weights.load_weights)
    def load_weights(model, path, *, strict=True):
        return model

    monkeypatch.setattr(distill_core.weights, "load_weights", load_weights)
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[int, ...]] = []
    forward = ConvNet.forward

    def noted(self, images):
        if self.fc.in_features >= 32:
            seen.append(tuple(images.shape))
        return forward(self, images)

    monkeypatch.setattr(ConvNet, "forward", noted)

    def start(name, output):
        seen.clear()
        run_experiment(FOLDER / f"{name}.yaml", [*FEW, *CHANGES.get(name, [])], output=tmp_path / output, quiet=True)
        student = hashlib.sha256((tmp_path / output / "student.safetensors").read_bytes()).hexdigest()
        return (tmp_path / output / "log.txt").read_text(), student, list(seen)

    return start


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("cached*.yaml")))
def test_the_second_run_reads_and_gives_the_same(run, name):
    """Two of three epochs show views that are computed; the third shows the first again."""
    log, student, calls = run(name, "first")
    assert "0 of 2 views are complete" in log
    assert len(calls) == 2 * 3 + 1  # once more, to see that the small batch may be filled up
    again, same, calls = run(name, "second")
    assert "2 of 2 views are complete" in again
    assert calls == []
    assert same == student


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml") if "cached" not in path.stem))
def test_a_file_runs(run, name):
    log, _, calls = run(name, "run")
    assert MODES.get(name, "teacher in eval mode") in log
    if name == "shared":
        assert len(calls) == BATCHES + 1
    if name == "own_size":
        assert {shape[2:] for shape in calls} == {(16, 16)}
    if name == "several":
        assert len(calls) == 2 * (BATCHES + 1)  # the third is narrow
    if name == "average":
        assert calls == []


def test_announced_rows_have_the_same_values(tmp_path, monkeypatch):
    """The benchmark of cold reads, shortened: it compares what it reads with and without announcing."""
    monkeypatch.syspath_prepend(str(FOLDER.parents[1]))
    import cold

    for name, value in {"ROWS": 3_000, "WIDTH": 5, "BATCH": 4, "NUM_BATCHES": 6, "STEP": 0.0}.items():
        monkeypatch.setattr(cold, name, value)
    rows = cold.measure(tmp_path, 1)
    for module in ("cold", "page"):
        sys.modules.pop(module)
    assert list(rows) == ["cold", "cold, announced", "in memory, announced"]
    assert rows["cold"]["both / cold"] == 1
