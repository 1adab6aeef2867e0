"""Every malformed file of the tests goes through `check`, `check --deep` and `run`: what a later one refuses, an earlier one
that could know refuses with the same sentence, and none ends in a traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from distill_core.cli.inspect._check import check_file
from distill_core.cli.run._run import run_experiment
from distill_core.errors import DistillError

CONFIG = Path(__file__).parent.parent / "config"
BESIDE = {"part.yaml": "a: 1\n", "base.yaml": "seed: 1\n"}


def tables() -> dict[str, str]:
    """Name → text of every file in `config/malformed`."""
    found = {}
    for table in sorted((CONFIG / "malformed").glob("*.txt")):
        for case in re.split(r"^=== ", table.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name, _, rest = case.partition("\n")
            found[f"{table.stem}-{name}"] = rest.partition("=>\n")[0]
    return found


def hostile() -> dict[str, str]:
    """Name → text of a file with each hostile value."""
    values = json.loads((CONFIG / "hostile.json").read_text(encoding="utf-8"))
    head = "models: {}\ndata: {}\nstages: []\n_x: "
    return {f"hostile-{name}": f"{head}{value}\n" for name, value in values.items()}


FILES = tables() | hostile()


def ending(command, file) -> tuple[str, str]:
    """The kind and the text of what a command refuses; empty if it refuses nothing."""
    try:
        command(file)
    except DistillError as error:
        return type(error).__name__, str(error)
    return "", ""


def test_there_are_enough_files():
    assert len(FILES) > 100


@pytest.mark.parametrize("name", FILES)
def test_all_three_commands_refuse_alike(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for other, text in BESIDE.items():
        Path(other).write_text(text)
    Path("run.yaml").write_text(FILES[name], encoding="utf-8")
    before = sorted(Path().rglob("*"))
    static = ending(check_file, "run.yaml")
    assert static[0]
    assert ending(lambda file: check_file(file, deep=True), "run.yaml") == static
    assert ending(lambda file: run_experiment(file, quiet=True), "run.yaml") == static
    assert sorted(Path().rglob("*")) == before


# What an edit of the small experiment makes wrong: what it replaces, by what, and whether `check` can know without imports.
EDITS = {
    "misspelt option": ("{lr: 0.1}", "{lrr: 0.1}", True),
    "misspelt field": ("epochs: 3", "epoch: 3", True),
    "text for a number": ("epochs: 3", "epochs: three", True),
    "misspelt model": ("student: student, teacher: teacher", "student: student, teacher: techer", True),
    "no optimizer": ("    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}\n", "", True),
    "no epochs": ("epochs: 3\n    ", "", True),
    "no losses": ("    losses:\n", "    losses: {}\n    _losses:\n", True),
    "nothing learns": ("    losses:\n", "    train: []\n    losses:\n", True),
    "no data": ("  train: !import_call:toy.points", "  _train: !import_call:toy.points", True),
    "misspelt glob": ("    losses:\n", "    train: [studnet]\n    losses:\n", True),
    "misspelt module of a glob": ("    losses:\n", "    train: [student.haed]\n    losses:\n", False),
    "everything taken away": ("    losses:\n", "    train: [student, '!student']\n    losses:\n", False),
    "misspelt module": ("teacher: teacher}}", "teacher: teacher.haed}}", False),
    "misspelt parameter": ("{student: student, teacher", "{students: student, teacher", True),
    "misspelt batch field": ("target: batch.target}}\n      kd", "target: batch.label}}\n      kd", False),
    "misspelt mode": ("    losses:\n", "    modes: {techer: eval}\n    losses:\n", False),
    "misspelt group": ("    losses:\n", "    groups: {student.haed: {lr: 1.0}}\n    losses:\n", False),
    "unknown option of a group": ("    losses:\n", "    groups: {student: {lrate: 1.0}}\n    losses:\n", True),
    "metric that nothing measures": ("best: share", "best: top5", True),
    "negative weight": ("weight: 0.1", "weight: -0.1", True),
    "no epoch": ("epochs: 3", "epochs: 0", True),
    "gradient ascent": ("    losses:\n", "    clip_grad_norm: -1\n    losses:\n", True),
    "temperature of zero": ("KDLoss {}", "KDLoss {temperature: 0}", True),
    "model that is not a module": ("!import_call:toy.Net {width: 4}", "!import_get:toy.points", False),
    "model that is a class": ("!import_call:toy.Net {width: 4}", "!import_get:toy.Net", False),
    "negative learning rate": ("{lr: 0.1}", "{lr: -0.1}", False),
    "loss that is not a number": ("torch.nn.CrossEntropyLoss {}", "torch.nn.CrossEntropyLoss {reduction: none}", False),
    "plateau after a step": (
        "    losses:\n",
        "    scheduler: !import_get:torch.optim.lr_scheduler.ReduceLROnPlateau\n    scheduler_step: step\n    losses:\n",
        False,
    ),
    "length beyond the stage": (
        "    losses:\n",
        "    scheduler: !import_partial:torch.optim.lr_scheduler.StepLR {step_size: 120%}\n    losses:\n",
        True,
    ),
    "weights that the zoo does not have": (
        "!import_call:toy.Net {width: 4}",
        "!import_call:distill_zoo.load {name: toy/absent}",
        False,
    ),
    "no loss teaches what learns": ("    losses:\n", "    train: [teacher]\n    losses:\n", False),
    "feed of no model": ("    losses:\n", "    feed: {techer: {points: batch.input}}\n    losses:\n", True),
    "feed of no parameter": ("    losses:\n", "    feed: {student: {point: batch.input}}\n    losses:\n", True),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_a_run_refuses_a_check_finds(toy, distill, name):
    old, new, is_static = EDITS[name]
    assert old in toy.read_text()
    toy.write_text(toy.read_text().replace(old, new, 1))
    endings = {
        "check": distill("check", toy, "--trust", "toy"),
        "deep": distill("check", toy, "--deep", "--trust", "toy"),
        "run": distill("run", toy, "--trust", "toy"),
    }
    assert not [ended for ended in endings.values() if "Traceback" in ended.err]
    assert (endings["check"].code != 0) == is_static, endings["check"]
    assert endings["deep"].code != 0, endings["deep"]
    assert endings["run"].code != 0, endings["run"]
    if is_static:
        assert endings["check"].err == endings["deep"].err == endings["run"].err
    else:
        *_, reason = [line for line in endings["run"].err.splitlines() if not line.startswith("  hint:")]
        key, _, sentence = reason.partition(": ")  # the deep check gives the key behind the sentence
        assert reason in endings["deep"].err or (sentence in endings["deep"].err and key in endings["deep"].err)
