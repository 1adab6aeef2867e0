"""The ML Code Completeness Checklist of a run: what is missing is not done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from distill_core.cli._app import app
from distill_core.report import checklist

SUBJECTS = [
    "Specification of dependencies", "Training code", "Evaluation code", "Pre-trained models", "Table of results with commands",
]  # fmt: skip
"""The items of the checklist, https://medium.com/paperswithcode/ml-code-completeness-checklist-e9127b168501."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "kd" / "seed0"
    run.mkdir(parents=True)
    (run / "student.safetensors").write_bytes(b"12345678")
    results = {
        "test": {"top1": 0.5, "loss": 1.25},
        "percent": ["top1"],
        "seed": 0,
        "seconds": 1.0,
        "parameters": {"student": 3},
    }
    files = {"student.safetensors": {"bytes": 8, "sha256": "0123456789abcdef"}}
    (run / "results.json").write_text(json.dumps(results | {"files": files}))
    (run / "environment.json").write_text(json.dumps({"packages": {"torch": "2.15.0", "numpy": "2.4.6"}}))
    (run / "command.txt").write_text("distill run kd.yaml seed=0\n# a comment\n")
    for name in ("config.source.yaml", "config.resolved.yaml"):
        (run / name).write_text("seed: 0\n")
    return run


def test_a_complete_run_has_all_items(run: Path):
    items = checklist(run)
    assert [item.subject for item in items] == SUBJECTS
    assert all(item.done for item in items)
    result = CliRunner().invoke(app, ["report", str(run), "--checklist"])
    assert result.exit_code == 0, result.output
    assert "5 of 5 items" in result.output
    assert "- [x] Table of results with commands: top1 50.00 %, loss 1.25 on the test split" in result.output
    assert "`distill run kd.yaml seed=0`" in result.output


@pytest.mark.parametrize(
    ("lost", "open_items"),
    [
        ("environment.json", [0]), ("config.source.yaml", [1]), ("command.txt", [1, 4]), ("student.safetensors", [3]),
    ],
)  # fmt: skip
def test_a_missing_file_leaves_its_items_open(run: Path, lost: str, open_items: list[int]):
    (run / lost).unlink()
    assert [number for number, item in enumerate(checklist(run)) if not item.done] == open_items
    result = CliRunner().invoke(app, ["report", str(run), "--checklist", "--json"])
    (items,) = json.loads(result.output).values()
    assert [number for number, item in enumerate(items) if not item["done"]] == open_items


def test_other_weights_and_a_run_without_a_test_are_seen(run: Path):
    (run / "student.safetensors").write_bytes(b"1")
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | {"test": {}}))
    assert [item.done for item in checklist(run)] == [True, True, False, False, False]


def test_a_checklist_is_not_written_to_a_file(run: Path):
    result = CliRunner().invoke(app, ["report", str(run), "--checklist", "--output", "x.html"])
    assert result.exit_code != 0
    assert "--checklist" in result.output
