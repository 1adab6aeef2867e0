"""The benchmark for a GPU, tried on the CPU with tiny models. No times are asserted."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FOLDERS = (BENCHMARKS / "gpu", BENCHMARKS / "overhead")


@pytest.fixture
def gpu(monkeypatch):
    """The script's own modules, which lie beside it."""
    for folder in reversed(FOLDERS):
        monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    import isolation
    import page
    import part
    import parts

    yield isolation, page, part, parts
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(tuple(map(str, FOLDERS))):
            del sys.modules[name]


def test_all_parts_fit_into_eight_minutes(gpu):
    isolation, _, _, parts = gpu
    assert sum(isolation.load(name).seconds for name in parts.NAMES) <= 8 * 60
    assert {path.stem for path in (FOLDERS[0] / "parts").glob("[a-z]*.py")} == set(parts.NAMES)


@pytest.mark.parametrize("name", ["host_syncs", "step_overhead", "vocabulary_losses", "teacher_sources", "fsdp"])
def test_the_first_rows_of_a_part_are_measured(gpu, name):
    """In this process; the slow test below runs the script itself."""
    isolation, _, part, _ = gpu
    made = isolation.load(name)
    rows = made.rows(part.Setting("cpu", is_tiny=True))
    for label, measure in itertools.islice(rows, 2):
        assert len(part.measured(label, measure)) == len(made.heads), part.measured(label, measure)
    rows.close()


def steps(setting):
    """Rows of a part: one is measured, one fails, one cannot be measured here, one ends the process or never ends."""
    from part import SkippedError

    def fail():
        message = "out | of memory\nand a traceback"
        raise ValueError(message)

    def skip():
        message = "needs a GPU"
        raise SkippedError(message)

    yield "measured", lambda: ["1"]
    yield "failing", fail
    yield "skipped", skip
    yield "fatal", (lambda: os._exit(3)) if setting.is_tiny else (lambda: time.sleep(60))


@pytest.mark.parametrize(
    ("is_tiny", "problem"), [(True, "its process ended with exit code 3"), (False, "stopped after 3 s")]
)
def test_a_part_that_fails_leaves_its_rows_and_the_other_parts(gpu, tmp_path, is_tiny, problem):
    isolation, page, part, _ = gpu
    made = part.Part("Steps", "About.", ("row", "value"), 1, steps)
    setting = part.Setting("cpu", is_tiny)
    outcome = isolation.run("steps", setting, 3.0, load_part=lambda name: made)
    assert outcome.problem == problem
    assert outcome.rows == [
        ["measured", "1"],
        ["failing", "failed: ValueError: out | of memory"],
        ["skipped", "not measured: needs a GPU"],
    ]
    page.write(tmp_path / "page.md", {"steps": made, "later": made}, {"steps": outcome}, setting)
    text = (tmp_path / "page.md").read_text()
    assert "| failing | failed: ValueError: out \\| of memory |" in text
    assert f"**Incomplete: {problem}.**" in text
    assert text.endswith("Not measured yet.\n")


def test_without_a_gpu_the_script_says_so(gpu, tmp_path, monkeypatch, capsys):
    import run

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run.main(["--output", str(tmp_path / "page.md")]) == 1
    assert capsys.readouterr().err == "torch finds no GPU\n  hint: add --tiny to try the script on a CPU\n"
    assert not (tmp_path / "page.md").exists()


@pytest.mark.slow
def test_a_trial_run_measures_every_row(gpu, tmp_path):
    _, _, _, parts = gpu
    command = [sys.executable, str(FOLDERS[0] / "run.py"), "--tiny", "--output", str(tmp_path / "page.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "page.md").read_text()
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == list(parts.NAMES)
    assert text.count("\nTook ") == len(parts.NAMES)
    assert "failed" not in text
    assert "Incomplete" not in text
