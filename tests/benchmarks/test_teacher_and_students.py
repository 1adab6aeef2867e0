"""The tables of detection and segmentation, from finished runs. Nothing is trained here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TASKS = {
    "object_detection": (
        "coco.AP50",
        "AP50",
        [
            "ce_fasterrcnn_mobilenet_v3_large",
            "ce_fasterrcnn_mobilenet_v3_small",
            "pkd_fasterrcnn_mobilenet_v3_small_from_fasterrcnn_mobilenet_v3_large",
        ],
    ),
    "semantic_segmentation": (
        "scores.miou",
        "mIoU",
        [
            "ce_deeplabv3_mobilenet_v3_large",
            "ce_lraspp_mobilenet_v3_large",
            "kd_lraspp_mobilenet_v3_large_from_deeplabv3_mobilenet_v3_large",
        ],
    ),
}


def finish(folder: Path, metric: str, about: str, seed: int, value: float) -> None:
    """Write a finished run, as far as the script reads it."""
    folder.mkdir(parents=True)
    measured = {"fit": {metric: value + 0.1}, "test": {metric: value}}
    results = {"about": about, "seed": seed, "percent": [metric], "last": {"epoch": 2, **measured}}
    (folder / "results.json").write_text(json.dumps(results))
    records = [{"split": "train", "epoch": epoch, "loss": 3.0 / epoch} for epoch in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.mark.parametrize("task", TASKS)
def test_finished_runs_become_two_tables_in_percent(task, tmp_path):
    metric, name, (teacher, *students) = TASKS[task]
    shutil.copytree(BENCHMARKS / task, tmp_path / task, ignore=shutil.ignore_patterns("results"))
    shutil.copy(BENCHMARKS / "teacher_and_students.py", tmp_path)
    runs = tmp_path / "runs" / "coco_mini"
    finish(runs / teacher / "seed0", metric, "teacher", 0, 0.5)
    for seed in range(2):
        for row, value in zip(students, (0.2, 0.4), strict=True):
            finish(runs / row / f"seed{seed}", metric, row, seed, value + seed / 100)
    command = [sys.executable, f"{task}/run.py", "coco_mini", "--seeds", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / task / "results/coco_mini.md").read_text().splitlines()
    assert lines[0] == f"# {task.replace('_', ' ').capitalize()}: coco_mini"
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    assert cells[0][2] == f"test {metric} (%), best epoch"
    assert [(row[0], row[3]) for row in cells[2:5]] == [
        ("teacher", "50.00"),
        (students[0], "20.50 ± 0.71"),
        (students[1], "40.50 ± 0.71"),
    ]
    assert f"{name} on the training images (%)" in lines[-7]
    assert lines[-5:] == [
        "| teacher | 0 | 3.000 | 1.500 | 60.00 | 50.00 |",
        f"| {students[0]} | 0 | 3.000 | 1.500 | 30.00 | 20.00 |",
        f"| {students[1]} | 0 | 3.000 | 1.500 | 50.00 | 40.00 |",
        f"| {students[0]} | 1 | 3.000 | 1.500 | 31.00 | 21.00 |",
        f"| {students[1]} | 1 | 3.000 | 1.500 | 51.00 | 41.00 |",
    ]
