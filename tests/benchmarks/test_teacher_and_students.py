"""Detection and segmentation on drawn shapes: which runs are trained, and their tables. The training itself is replaced."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TASKS = {"object_detection": "coco.AP50", "semantic_segmentation": "scores.miou"}


class Checkout:
    """A copy of a benchmark without results, whose runs are recorded instead of trained."""

    def __init__(self, task: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.task, self.metric, self.runs, self.named = folder / task, TASKS[task], [], []
        shutil.copytree(BENCHMARKS / task / "configs" / "shapes", self.task / "configs" / "shapes")
        spec = importlib.util.spec_from_file_location("shapes_script", BENCHMARKS / "teacher_and_students.py")
        self.script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.script)
        monkeypatch.setattr(self.script.cli, "run_experiment", self.experiment)
        self.monkeypatch = monkeypatch

    def experiment(self, file: Path, changes: list[str], *, output: Path, **_: object) -> None:
        """Write the results of a run: 80 % for the teacher, 30 % alone, 50 % distilled, and one more for each seed."""
        seed = int(changes[0].removeprefix("seed="))
        self.runs.append((file.stem, seed, [change.partition("=")[0] for change in changes[1:]]))
        assert file.is_file()
        kind = "teacher" if file.stem == "teacher" else "alone" if file.stem.startswith("no_teacher") else "distilled"
        value = {"teacher": 0.8, "alone": 0.3, "distilled": 0.5}[kind] + seed / 100
        sizes = {"student": 900 if kind == "teacher" else 100 + 50 * file.stem.endswith("separable")}
        sizes |= {"teacher": 900} if kind == "distilled" else {}
        results = {
            "about": file.stem, "seed": seed, "percent": [self.metric], "parameters": sizes, "seconds": 1.0,
            "last": {"epoch": 1, "test": {self.metric: value}},
        }  # fmt: skip
        output.mkdir(parents=True)
        (output / "results.json").write_text(json.dumps(results))
        save_file({"weight": torch.ones(2), "count": torch.ones(1, dtype=torch.long)}, output / "student.safetensors")

    def train(self, rows: list[str], *words: str) -> list[tuple[str, int, list[str]]]:
        """Run the script in a checkout without runs, and return what it trained."""
        self.runs = []
        output = self.task.parent / f"runs{len(list(self.task.parent.iterdir()))}"
        self.monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(output), *words])
        self.script.main(self.task, "", rows=rows, named=self.named, metric=self.metric, chance=0.1)
        return self.runs


@pytest.mark.parametrize("task", TASKS)
def test_a_fresh_checkout_continues_where_the_committed_results_end(task, tmp_path, monkeypatch):
    checkout = Checkout(task, tmp_path, monkeypatch)
    rows, taught = ["no_teacher", "pkd", "no_teacher_separable"], ["models.teacher.path"]
    first = [("teacher", 0, []), ("no_teacher", 0, []), ("pkd", 0, taught), ("no_teacher_separable", 0, [])]
    assert checkout.train(rows, "--seeds", "1") == first
    results = checkout.task / "results" / "shapes"
    weights = load_file(results / "teacher/seed0/student.safetensors")
    assert (weights["weight"].dtype, weights["count"].dtype) == (torch.float16, torch.long)
    assert [path.name for path in (results / "pkd/seed0").iterdir()] == ["results.json"]
    assert checkout.train(rows, "--seeds", "2") == [(row, 1, changes) for row, _, changes in first[1:]]
    assert checkout.train(rows, "--seeds", "2") == []
    (results / "teacher/seed0/student.safetensors").unlink()
    assert checkout.train(rows, "--seeds", "2") == [("teacher", 0, [])]


def test_the_tables_compare_with_the_same_student_alone(tmp_path, monkeypatch):
    checkout = Checkout("object_detection", tmp_path, monkeypatch)
    checkout.train(["no_teacher", "pkd", "no_teacher_separable", "pkd_separable"], "--seeds", "2")
    file = checkout.task / "results" / "shapes.md"
    text = file.read_text()
    assert text.startswith("# Object detection: drawn shapes\n")
    assert "| pkd | 100 | 2 | 50.50 ± 0.71 |" in text
    # √(0.71²/2 + 0.71²/2) = 0.71, and 20 / 0.71 = 28.3.
    assert "| pkd | no_teacher | +20.00 | 0.71 | +28.3 |" in text
    assert "| pkd_separable | no_teacher_separable | +20.00 | 0.71 | +28.3 |" in text
    assert "Chance: 10.00%." in text
    assert (file.with_suffix(".png")).read_bytes().startswith(b"\x89PNG")
    file.unlink()
    assert checkout.train(["no_teacher", "pkd"], "--table") == []
    assert "| pkd | no_teacher |" in file.read_text()


def test_the_confirmation_has_seeds_of_its_own(tmp_path, monkeypatch):
    checkout = Checkout("object_detection", tmp_path, monkeypatch)
    checkout.named = ["no_teacher", "pkd"]
    runs = [run[:2] for run in checkout.train(["no_teacher", "pkd", "cwd"], "--seeds", "2")]
    chosen_on = [("teacher", 0), *((row, seed) for seed in (0, 1) for row in ("no_teacher", "pkd", "cwd"))]
    assert runs == chosen_on + [(row, seed) for seed in (20, 21) for row in ("no_teacher", "pkd")]
    tables = [(checkout.task / "results" / f"{name}.md").read_text() for name in ("shapes", "confirmation")]
    assert tables[1].startswith("# Object detection: drawn shapes, confirmation\n")
    # 50 % and one more for each seed: the tables do not share runs.
    assert ["| pkd | 100 | 2 | 50.50 ± 0.71 |" in table for table in tables] == [True, False]
    assert ["| pkd | 100 | 2 | 70.50 ± 0.71 |" in table for table in tables] == [False, True]
    assert ["cwd" in table for table in tables] == [True, False]


@pytest.mark.parametrize("task", TASKS)
def test_named_methods_are_above_no_teacher_by_two_standard_errors_as_the_readme_says(task):
    named = (BENCHMARKS / task / "run.py").read_text().partition("NAMED = (")[2].partition(")")[0]
    text = (BENCHMARKS / task / "results" / "confirmation.md").read_text()
    lines = [line.split(" | ") for line in text.splitlines() if line.count(" | no teacher | ")]
    assert len(lines) == len(named.split(",")) - 1
    assert all(float(line[-1].removesuffix(" |")) > 2 for line in lines)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and "±" in line]
    assert [row[2] for row in rows] == ["5"] * len(named.split(","))
    readme = " ".join((BENCHMARKS / task / "README.md").read_text().split())
    assert "Each is above no teacher by more than two standard errors." in readme


@pytest.mark.parametrize("task", TASKS)
def test_every_row_has_a_file_and_the_committed_runs_are_complete(task):
    text = (BENCHMARKS / task / "run.py").read_text()
    rows = text.partition("ROWS = (")[2].partition(")")[0].replace('"', "").replace(",", " ").split()
    files = {file.stem for file in (BENCHMARKS / task / "configs" / "shapes").glob("*.yaml")}
    assert {"teacher", *rows} == files
    for folder in (BENCHMARKS / task / "results" / "shapes").glob("*/seed*"):
        kept = {"results.json", "student.safetensors"} if folder.parent.name == "teacher" else {"results.json"}
        assert {file.name for file in folder.iterdir()} == kept
