"""The digits benchmark, shortened, from its script to its table."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TASK = Path(__file__).resolve().parents[2] / "benchmarks" / "image_classification"
PAIRS = {"digits": ("convnet8", "convnet64"), "fashion_mnist": ("resnet20", "wide_resnet16_2")}
ROWS = ("ce_convnet64", "ce_convnet8", "kd_convnet8_from_convnet64", "kd_unlabelled_convnet8_from_convnet64")


def test_every_data_set_has_every_row():
    for data, (student, teacher) in PAIRS.items():
        files = {file.stem for file in (TASK / "configs" / data).iterdir()}
        assert {row.replace("convnet64", teacher).replace("convnet8", student) for row in ROWS} <= files


def test_the_script_is_short():
    assert len((TASK / "run.py").read_text(encoding="utf-8").splitlines()) <= 42


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The script's folder and its output after three seeds of thirty epochs each."""
    folder = tmp_path_factory.mktemp("benchmark")
    shutil.copytree(TASK, folder / "task", ignore=shutil.ignore_patterns("results"))
    return folder, run(folder)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "task/run.py", "digits", "--seeds", "3", "stages.0.epochs=30"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_distillation_on_unlabelled_images_beats_the_student_alone_with_every_seed(finished):
    folder, _ = finished
    runs = json.loads((folder / "task/results/digits.json").read_text())["runs"]
    tested = {(run["row"], run["seed"]): run["best"] for run in runs}
    assert len(tested) == 12
    teacher, alone, same, unlabelled = ([tested[row, seed] for seed in range(3)] for row in ROWS)
    assert min(teacher) > 0.98
    assert all(one > other + 0.01 for one, other in zip(unlabelled, alone, strict=True))
    assert sum(unlabelled) > sum(same)


def test_the_table_is_written_and_printed_in_the_order_of_the_story(finished):
    folder, done = finished
    table = (folder / "task/results/digits.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| (\d) \|", table, flags=re.MULTILINE)
    assert rows == [
        ("the teacher, all labels", "75,338", "3"),
        ("student alone, 100 labels", "1,362", "3"),
        ("distilled on the same 100", "1,362", "3"),
        ("distilled on all images, no labels", "1,362", "3"),
    ]
    assert (folder / "task/results/digits.png").read_bytes().startswith(b"\x89PNG")
    assert "Scarce labels: digits" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("digits.png")


def test_started_again_it_trains_nothing_twice(finished):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.is_file()}
    done = run(folder)
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.is_file()} == before
    assert "seed 0" not in done.stdout
