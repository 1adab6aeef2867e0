"""CIFAR-100 from a public teacher: which runs are trained. The training itself is replaced."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from distill_vision.models import resnet20

TASK = Path(__file__).resolve().parents[2] / "benchmarks" / "image_classification"


class Checkout:
    """A checkout with its own folder of results, whose runs are recorded instead of trained."""

    def __init__(self, script, results: Path, output: Path) -> None:
        self.script, self.results, self.output = script, results, output
        self.runs: list[tuple[str, list[str]]] = []

    def experiment(self, file: Path, changes: list[str], *, output: Path, **_: object) -> None:
        """Write the results of a run, whose accuracy is 1 % for each earlier run of this checkout."""
        seed, _teacher, *others = changes
        measured = {"val": {"top1": len(self.runs) / 100}}
        self.runs.append((f"{file.stem} {seed}", others))
        output.mkdir(parents=True)
        results = {"about": file.stem, "seconds": 1.0, "best": measured, "last": measured}
        (output / "results.json").write_text(json.dumps(results))
        save_file(resnet20(num_classes=100).state_dict(), output / "student.safetensors")

    def train(self, *rows: str, seeds: int) -> list[tuple[str, list[str]]]:
        """Run the script in a checkout without runs, and return what it trained."""
        self.runs, self.output = [], self.output / "next"
        self.script.train(argparse.Namespace(rows=rows, seeds=seeds, changes=[], data=Path(), output=self.output))
        return self.runs


@pytest.fixture
def checkout(monkeypatch, tmp_path) -> Checkout:
    monkeypatch.syspath_prepend(TASK)
    spec = importlib.util.spec_from_file_location("public_teacher", TASK / "public_teacher.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.delitem(sys.modules, "methods")
    made = Checkout(script, tmp_path / "results", tmp_path / "runs")
    monkeypatch.setattr(script, "RESULTS", made.results)
    monkeypatch.setattr(script.cli, "run_experiment", made.experiment)
    return made


def test_a_fresh_checkout_continues_where_the_committed_results_end(checkout):
    assert checkout.train("kd", "dkd", seeds=1) == [("kd seed=0", []), ("dkd seed=0", [])]
    student = checkout.results / "kd/seed0/student.safetensors"
    assert load_file(student)["conv1.weight"].element_size() == 2
    assert checkout.train("kd", "dkd", seeds=2) == [("kd seed=1", []), ("dkd seed=1", [])]
    assert checkout.train("kd", "dkd", seeds=2) == []
    student.unlink()
    assert checkout.train("kd", "dkd", seeds=2) == [("kd seed=0", [])]
    assert "| kd | 2 | 0.000 ± 0.000 |" in (checkout.results / "table.md").read_text()


def test_combinations_are_tried_once_and_the_best_is_used_by_every_seed(checkout):
    weights = [["_losses.wttm.weight=4.0"], ["_losses.wttm.weight=1.0"]]
    assert checkout.train("wttm", seeds=1) == [("wttm seed=0", weights[0]), ("wttm seed=0", weights[1])]
    assert json.loads((checkout.results / "wttm/seed0/results.json").read_text())["last"]["val"]["top1"] == 0.01
    assert checkout.train("wttm", seeds=2) == [("wttm seed=1", weights[1])]
    assert checkout.train("wttm", seeds=2) == []
    assert "- `_losses.wttm.weight=1.0`: 1.00%" in (checkout.results / "table.md").read_text()


def test_a_combination_that_was_not_tried_yet_is_tried_and_the_others_are_not(checkout):
    folder = checkout.results / "wttm"
    folder.mkdir(parents=True)
    (folder / "tried.json").write_text('{"_losses.wttm.weight=4.0": 0.5}')
    runs = checkout.train("wttm", seeds=1)
    assert runs == [("wttm seed=0", ["_losses.wttm.weight=1.0"]), ("wttm seed=0", ["_losses.wttm.weight=4.0"])]
    assert set(json.loads((folder / "tried.json").read_text())) == {
        "_losses.wttm.weight=4.0",
        "_losses.wttm.weight=1.0",
    }


def test_the_committed_runs_have_results_and_a_student():
    for folder in (TASK / "results/cifar100_public").glob("*/seed*"):
        assert {file.name for file in folder.iterdir()} == {"results.json", "student.safetensors"}
