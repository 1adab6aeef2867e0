"""The overhead benchmark, shortened. No times are asserted; the script itself verifies that all loops do the same work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

TASK = Path(__file__).resolve().parents[2] / "benchmarks" / "overhead"


def test_the_script_writes_its_page(tmp_path):
    page = tmp_path / "README.md"
    options = ["--works", "mlp", "--taps", "0", "8", "--rounds", "1", "--no-compile", "--output", str(page)]
    command = [sys.executable, str(TASK / "run.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| tiny MLP")]
    assert [row[1].strip() for row in rows] == ["0", "8"] * 2
    heads = next(line for line in text.splitlines() if line.startswith("| work"))
    assert "| plain, fused | Distill |" in heads
    assert heads.endswith("| Distill / plain, fused |")
    assert "What Distill's taps with their losses cost in the MLP, relative to taps by hand:" in text


def test_the_losses_over_a_vocabulary_have_a_page(tmp_path):
    page = tmp_path / "vocabulary.md"
    options = ["--rounds", "1", "--tokens", "8", "--words", "99", "--output", str(page)]
    command = [sys.executable, str(TASK / "vocabulary.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith(("| Forward", "| Reverse", "| Skewed")) for line in page.read_text().splitlines()) == 5


def test_checkpoints_have_a_page(tmp_path):
    page = tmp_path / "checkpoints.md"
    options = ["--rounds", "3", "--width", "8", "--layers", "2", "--output", str(page)]
    command = [sys.executable, str(TASK / "checkpoints.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in page.read_text().splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "training is held up", "of which CPU time", "until the checkpoint is on disk", "torch.save and fsync",
    ]  # fmt: skip


def test_a_step_of_language_models_has_a_page(tmp_path):
    """The script itself verifies that the students of all loops have the same weights at the end."""
    page = tmp_path / "language_model.md"
    options = ["--rounds", "2", "--tokens", "8", "--words", "99", "--output", str(page)]
    command = [sys.executable, str(TASK / "language_model.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "| Distill | " in page.read_text()


@pytest.fixture
def modules(monkeypatch):
    """The script's own modules, which lie beside it."""
    monkeypatch.syspath_prepend(str(TASK))
    import lanes
    import measure
    import works

    yield lanes, measure, works
    for name in ("lanes", "loops", "measure", "memory", "works"):
        sys.modules.pop(name, None)


def test_loops_that_differ_are_noticed(modules):
    _, measure, works = modules
    same, other = works.tiny_mlp(0), works.tiny_mlp(0)
    measure._prove_equal({"plain": same, "other": other})
    with torch.no_grad():
        other.student.head.weight[0, 0] += 0.1
    with pytest.raises(AssertionError, match=r"head\.weight"):
        measure._prove_equal({"plain": same, "other": other})


def test_lanes_take_turns_and_an_error_comes_out(modules):
    lanes, _, _ = modules
    made = []

    def loop(name, tick):
        while True:
            made.append(name)
            if len(made) > 11:
                raise ZeroDivisionError
            tick()

    one, other = (lanes.Lane(lambda tick, name=name: loop(name, tick)) for name in "ab")
    assert one.run(3) >= 0
    other.run(2)
    one.run(1)
    assert made == list("aaabba")
    with pytest.raises(ZeroDivisionError):
        other.run(9)
    one.end()


MEMORY = """
import torch, memory
loaded = []
def loop(tick):
    if not loaded:
        loaded.append(torch.ones(2**24))  # 64 MiB
    while True:
        batch = torch.ones(2**23)  # 32 MiB
        tick()
        del batch
print(memory.peak(lambda: None, lambda work: loop)[1])
"""


def test_memory_of_a_step_omits_what_is_loaded_once():
    """In an interpreter of its own: the fork of one that has run other tests also has their threads' memory."""
    command = [sys.executable, "-c", MEMORY]
    ended = subprocess.run(command, cwd=TASK, capture_output=True, text=True, check=True)
    assert 30 < float(ended.stdout) < 36


@pytest.mark.benchmark
@pytest.mark.parametrize(("kind", "taps", "most"), [("mlp", 0, 1.15), ("mlp", 8, 1.25), ("resnet", 8, 1.10)])
def test_a_step_costs_no_more_than_a_loop_by_hand(modules, kind, taps, most):
    """The committed page has 1.07, 1.07 and 1.01; the bounds leave room for a noisy machine."""
    _, measure, works = modules
    import loops

    named = {"plain": loops.plain, "Distill": loops.distill}
    times = measure.race({name: make(works.WORKS[kind](taps)) for name, make in named.items()}, 4, 20)
    assert measure.ratios(times["Distill"], times["plain"])[1] < most


@pytest.fixture
def early_stop(monkeypatch):
    """The script of models that stop early."""
    monkeypatch.syspath_prepend(str(TASK))
    import early_stop

    yield early_stop
    for name in ("early_stop", "early_stop_stages", "readme"):
        sys.modules.pop(name, None)


def test_models_that_stop_early_have_the_losses_of_complete_ones(early_stop, monkeypatch):
    stages = early_stop.stages()
    assert {name.split(",")[0] for name in stages} == {"FT", "FitNet", "FSP", "HND", "GHND", "KTAAD"}
    chosen = {name: stages[name] for name in ("FT, stage 1, layer4", "FT, stage 2, layer4", "FitNet, hint at layer1")}
    monkeypatch.setattr(early_stop, "stages", lambda: chosen)
    rows = early_stop.measure(1, 32, 2)
    assert [row[0] for row in rows] == list(chosen)
    assert all(float(row[5]) >= float(row[6]) == float(row[7]) for row in rows)  # memory
    assert float(rows[2][5]) > float(rows[2][6])


def test_a_redesigned_model_that_differs_is_noticed(early_stop, monkeypatch):
    stage = early_stop.stages()["FitNet, hint at layer1"]
    stage.redesign = lambda model, taps: torch.nn.Sequential(torch.nn.Upsample(scale_factor=2), model)
    monkeypatch.setattr(early_stop, "stages", lambda: {"hint": stage})
    with pytest.raises(AssertionError, match="hint: the loss of 'redesigned' differs"):
        early_stop.measure(1, 32, 2)
