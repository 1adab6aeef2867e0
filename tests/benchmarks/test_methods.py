"""The comparison of all methods: values to try, selection, table. Nothing is trained here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distill_core.cli.inspect._methods import methods
from distill_core.config import read

TASK = Path(__file__).resolve().parents[2] / "benchmarks" / "image_classification"
FILES = sorted((TASK / "configs" / "digits_methods").glob("*.yaml"))

# Losses of dense prediction and of sequences, and those whose student is the teacher with another beginning.
NOT_HERE = {
    *("HND", "GHND", "CWD", "PKD", "FGD", "CrossKD", "CIRKD", "Pixelwise", "Pairwise", "KTA"),
    *("KTAutoencoder", "Affinity", "Reported", "ForwardKL", "ReverseKL", "GeneralisedJSD", "SkewedKL"),
    *("SkewedReverseKL", "TAID", "AKL", "ABKD", "TopKKL", "ULD", "RSKD", "TokenCE", "OFALogits"),
    *("SampledReverseKL", "LD", "DistiLLM2", "CLIPKD", "PHIS", "Adapted"),
    *("DSKD", "DSKDCMA"),
}


def finished(folder: Path, about: str, seed: int, best: float, *epochs: float) -> None:
    """A run's folder, as far as reports read it."""
    folder.mkdir(parents=True)
    measured = {"top1": best}
    results = {
        "about": about,
        "seed": seed,
        "seconds": 1.0,
        "test": measured,
        "best": {"stage": 0, "epoch": 1, "val": measured, "test": measured},
        "last": {"epoch": 1, "val": measured, "test": measured},
        "selection": {"metric": "top1", "mode": "max", "split": "val"},
        "percent": ["top1"],
        "parameters": {"student": 1362},
    }
    (folder / "results.json").write_text(json.dumps(results))
    lines = [{"split": "val", "metrics": {"top1": value}} for value in epochs or (best,)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def script(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "task/methods.py", *words, "--workers", "1"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(TASK, tmp_path / "task", ignore=shutil.ignore_patterns("results"))
    for seed in range(3):
        finished(tmp_path / f"runs/digits/ce_convnet64/seed{seed}", "teacher", seed, 0.99)
    return tmp_path


def test_every_loss_of_classification_has_a_row():
    text = "".join(file.read_text(encoding="utf-8") for file in FILES)
    named = set(re.findall(r"distill_core\.losses\.(\w+)Loss\b", text))
    losses = {method.name.removesuffix("Loss") for method in methods() if method.name.endswith("Loss")}
    assert losses - named == NOT_HERE


def test_what_was_tried_can_be_tried_and_holds_what_was_chosen():
    for file in FILES:
        root = {key.value: value for key, value in read(file).root.value}
        for key, values in root["_tried"].value if "_tried" in root else []:
            changed = read(file, [f"{key.value}={values.value[0].value}"])
            assert changed.root is not None, (file.name, key.value)
            assert len(values.value) > 1, (file.name, key.value)


def test_the_table_has_the_baselines_first_and_says_what_is_worse(folder):
    for seed in range(3):
        for row, best in (("no_teacher", 0.9), ("kd", 0.95), ("kd_tuned", 0.96), ("dkd", 0.97), ("at", 0.7)):
            finished(folder / f"runs/digits_methods/{row}/seed{seed}", row, seed, best + seed / 100)
    done = script(folder, "dkd", "at")
    assert done.returncode == 0, done.stderr
    table = (folder / "task/results/digits_methods.md").read_text()
    rows = [line.split(" | ")[0].strip("| ") for line in table.splitlines() if line.startswith("| ")][2:]
    assert rows == ["no_teacher", "kd", "kd_tuned", "at", "dkd"]
    assert "Worse than no_teacher by more than twice the standard error: at (the reason is not known).\n" in table


def test_rows_that_were_not_run_stay_in_the_table(folder):
    for seed in range(3):
        for row, best in (("no_teacher", 0.9), ("kd", 0.95), ("kd_tuned", 0.96), ("dkd", 0.97)):
            finished(folder / f"runs/digits_methods/{row}/seed{seed}", row, seed, best)
    script(folder, "dkd")
    shutil.rmtree(folder / "runs/digits_methods/dkd")
    shutil.rmtree(folder / "runs/digits_methods/kd")
    for seed in range(3):
        finished(folder / f"runs/digits_methods/at/seed{seed}", "at", seed, 0.91)
        finished(folder / f"runs/digits_methods/kd/seed{seed}", "kd", seed, 0.94)
    done = script(folder, "at")
    assert done.returncode == 0, done.stderr
    lines = (folder / "task/results/digits_methods.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][2:]
    assert [(row[0].strip("| "), row[3]) for row in rows] == [
        ("no_teacher", "90.00 ± 0.00"),
        ("kd", "94.00 ± 0.00"),
        ("kd_tuned", "96.00 ± 0.00"),
        ("at", "91.00 ± 0.00"),
        ("dkd", "97.00 ± 0.00"),
    ]


def test_the_best_on_the_validation_split_is_chosen_and_of_equals_the_steadier(folder):
    for number, epochs in enumerate([(0.5, 0.9, 0.8), (0.5, 0.9, 0.85), (0.5, 0.6, 0.7)]):
        finished(folder / f"runs/digits_tried/vkd/{number}", "vkd", 0, 0.1, *epochs)
    done = script(folder, "vkd", "--tune")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "vkd _losses.vkd.weight=5.0 90.00% 90.00% 70.00%\n"
