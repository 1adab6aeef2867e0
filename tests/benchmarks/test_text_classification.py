"""The text benchmark, shortened and on a few made-up sentences, from its script to its table."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TASK = Path(__file__).resolve().parents[2] / "benchmarks" / "text_classification"
ROWS = ("ce_bert4", "ce_bert1", "kd_bert1_from_bert4", "kd_unlabelled_bert1_from_bert4")
GOOD, BAD = ("fine", "lovely", "bright"), ("dull", "awful", "grey")


def test_the_script_is_short():
    assert len((TASK / "run.py").read_text(encoding="utf-8").splitlines()) <= 70


def sentences(count: int) -> str:
    lines = ["sentence\tlabel"]
    for number in range(count):
        word = random.choice(GOOD if number % 2 else BAD)
        lines.append(
            f"the {random.choice(('film', 'play', 'plot'))} is {word} {'indeed ' * (number % 4)}\t{number % 2}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The script's folder after one seed of six epochs on 256 sentences."""
    random.seed(3)
    folder = tmp_path_factory.mktemp("text")
    (folder / "glue" / "SST-2").mkdir(parents=True)
    for split, count in (("train", 256), ("dev", 64)):
        (folder / "glue" / "SST-2" / f"{split}.tsv").write_text(sentences(count))
    shutil.copytree(TASK, folder / "task", ignore=shutil.ignore_patterns("results"))
    changes = ["stages.0.epochs=6", "data.train.batch_size=16", "data.train.holdout=32", "data.held_out.holdout=32"]
    command = [sys.executable, "task/run.py", "sst2", "--seeds", "1", *changes]
    environment = os.environ | {"DISTILL_DATA": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_task_is_learnt_and_the_table_written(finished):
    folder, printed = finished
    runs = json.loads((folder / "task/results/sst2.json").read_text())["runs"]
    assert [run["row"] for run in runs] == list(ROWS)
    results = [json.loads((folder / f"runs/sst2/{row}/seed0/results.json").read_text()) for row in ROWS]
    assert [result["test"].keys() for result in results] == [{"glue.accuracy"}] * 4
    assert min(result["test"]["glue.accuracy"] for result in results) > 0.9
    assert "GLUE: sst2" in printed
    assert "student alone, 1 layer, 2,000 labels" in (folder / "task/results/sst2.md").read_text()


def test_the_page_is_written_from_the_tables(finished):
    folder, _ = finished
    page = (folder / "task/README.md").read_text()
    assert "## SST-2, a small BERT" in page
    assert "student alone, 1 layer, 2,000 labels" in page
    assert "## CoLA" not in page  # it has no table yet


def test_the_loops_of_the_speed_script_do_the_same_work(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(TASK))
    monkeypatch.syspath_prepend(str(TASK.parent / "overhead"))
    import bert_step

    for name, value in {"WORDS": 50, "SAMPLES": 64, "LENGTH": 8}.items():
        monkeypatch.setattr(bert_step, name, value)
    times = bert_step.steps(rounds=2)
    assert list(times) == ["the same AdamW", "fused AdamW"]
    (tmp_path / "glue" / "SST-2").mkdir(parents=True)
    (tmp_path / "glue" / "SST-2" / "train.tsv").write_text(sentences(400))
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    plain, grouped = bert_step.real_tokens().values()
    assert 0 < plain < grouped <= 1
    alone = bert_step.updates(rounds=2)
    assert alone.keys() == times.keys()
    bert_step.write(tmp_path / "speed.md", times, alone, {"a": plain})
    page = (tmp_path / "speed.md").read_text()
    assert f"| a | {100 * plain:.1f} % |" in page
    assert f" | {alone['fused AdamW']:.2f} |\n" in page
    for name in ("bert_step", "lanes"):
        sys.modules.pop(name, None)
