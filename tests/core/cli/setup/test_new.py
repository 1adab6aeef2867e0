"""`distill new`: a first experiment for each task that checks at once and runs in seconds; nothing is overwritten."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from distill_core.cli.setup._new import STARTS, packages_of, reviews

TASKS = sorted(path.stem for path in STARTS.iterdir())
# What the best checkpoint reaches on the test split: the key, and the bounds between which it lies.
REACHED = {
    "classification": ("top1", 0.88, 1),
    "finetuning": ("top1", 0.95, 1),
    "own": ("top1", 0.85, 1),
    "text": ("accuracy", 0.9, 1),
    "language-model": ("perplexity", 1, 150),
}

TRUST = {"own": " --trust first_losses"}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(distill, task):
    ended = distill("new", "my/first.yaml", "--task", task)
    assert (ended.code, ended.err) == (0, "")
    for package in packages_of(Path("my/first.yaml").read_text(encoding="utf-8")):
        if package != "first_losses":
            pytest.importorskip(package)
    return ended.out


@pytest.mark.parametrize("task", TASKS)
def test_what_is_written_has_no_problems(distill, task):
    out = write(distill, task)
    assert out.splitlines()[0] == "my/first.yaml written"
    words = f"my/first.yaml{TRUST.get(task, '')}"
    assert out.endswith(f"\n\n    distill check {words}\n    distill run {words}\n")
    text = Path("my/first.yaml").read_text(encoding="utf-8")
    assert f"#   distill run {words}\n" in text
    assert not [word for word in ("FILE", "TRAIN", "TEST", "OWN") if word in text]
    ended = distill("check", *words.split())
    assert ended.err == ""
    assert ended.out.startswith("my/first.yaml: no problems (")


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_what_is_written_runs_and_learns(distill, task):
    write(distill, task)
    ended = distill("run", *f"my/first.yaml{TRUST.get(task, '')}".split(), "--output", "out")
    assert ended.code == 0, ended.err
    results = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    key, least, most = REACHED[task]
    assert least <= results["test"][key] <= most


def test_the_test_of_an_own_module_passes(distill):
    import subprocess
    import sys

    write(distill, "own")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my/test_first_losses.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_without_a_task_images_are_classified(distill):
    assert distill("new", "a.yaml").code == 0
    assert "distill_vision.data.digits" in Path("a.yaml").read_text(encoding="utf-8")


def test_the_texts_lie_beside_it_and_no_review_is_in_both_parts(distill):
    assert distill("new", "a.yaml", "--task", "text").out.splitlines()[:3] == [
        "a.yaml written",
        "a.train.tsv written",
        "a.test.tsv written",
    ]
    train, test = (Path(f"a.{part}.tsv").read_text().splitlines()[1:] for part in ("train", "test"))
    assert (len(train), len(test), len({*train, *test})) == (307, 77, 384)
    assert {word for text, _ in reviews(test=True) for word in text.split()} <= {
        word for text, _ in reviews(test=False) for word in text.split()
    }


def test_what_is_missing_is_to_be_installed(distill, monkeypatch):
    found = importlib.util.find_spec
    missing = ("distill_vision", "distill_zoo")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in missing else found(name, *rest)
    )
    ended = distill("new", "a.yaml", "--task", "finetuning")
    assert ended.code == 0
    assert ended.out.splitlines()[:3] == [
        "a.yaml written",
        "",
        "the experiment needs packages that are not installed: pip install distill-vision 'distill-zoo[vision]'",
    ]


def test_nothing_is_overwritten(distill):
    Path("a.test.tsv").write_text("mine")
    ended = distill("new", "a.yaml", "--task", "text")
    assert (ended.code, ended.err) == (2, "a.test.tsv exists\n  hint: choose another name: no file is overwritten\n")
    assert not Path("a.yaml").exists()
    assert Path("a.test.tsv").read_text() == "mine"
    assert distill("new", "a.yaml").code == 0
    assert distill("new", "a.yaml").err == "a.yaml exists\n  hint: choose another name: no file is overwritten\n"


def test_the_name_is_that_of_an_experiment_and_the_task_one_of_ours(distill):
    ended = distill("new", "a.txt")
    assert (ended.code, ended.err) == (2, "a.txt must have the extension .yaml or .yml\n  hint: write a.yaml\n")
    ended = distill("new", "a.yaml", "--task", "speech")
    assert ended.code == 2
    assert all(f"'{task}'" in ended.err for task in TASKS)
