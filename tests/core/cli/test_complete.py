"""A file whose stages cannot train is refused by `check`, which imports nothing, and by `run` with the same words."""

from __future__ import annotations

import pytest

CHANGES = {
    "no epochs": ("epochs: 3\n    ", "", "16:5: the first stage needs 'epochs' or 'steps'"),
    "no optimizer": (
        "    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}\n",
        "",
        "16:5: the first stage needs 'optimizer'",
    ),
    "no losses": ("    losses:\n", "    scheduler: null\n    _losses:\n", "16:5: the first stage needs 'losses'"),
    "empty losses": ("    losses:\n", "    losses: {}\n    _losses:\n", "18:13: a stage has no losses"),
    "empty train": (
        "    losses:\n",
        "    train: []\n    losses:\n",
        "18:12: the list is empty",
    ),
    "no data": (
        "  train: !import_call:toy.points",
        "  _train: !import_call:toy.points",
        "16:5: there is no training data",
    ),
    "empty losses later": ("\ncallbacks:", "  - {losses: {}}\n\ncallbacks:", "21:14: a stage has no losses"),
    "empty train later": ("\ncallbacks:", "  - {train: []}\n\ncallbacks:", "21:13: the list is empty"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("command", ["check", "run"])
def test_what_is_missing_is_refused(toy, distill, name, command):
    old, new, message = CHANGES[name]
    assert old in toy.read_text()
    toy.write_text(toy.read_text().replace(old, new, 1))
    ended = distill(command, toy, "--trust", "toy")
    assert ended.code == 2, ended
    assert ended.err.startswith(f"small/toy.yaml:{message}"), ended.err


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_file_without_stages(tmp_path, monkeypatch, distill, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none.yaml").write_text("models: {}\ndata: {}\nstages: []\n")
    assert distill(command, "none.yaml").err == (
        "none.yaml:3:9: an experiment needs at least one stage, or a test (at stages)\n    stages: []\n            ^\n"
    )


def test_a_first_stage_that_only_building_would_tell_passes(tmp_path, monkeypatch, distill):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "built.yaml").write_text(
        "models: {}\ndata: !import_call:builtins.dict []\nstages: !import_call:builtins.list []\n"
    )
    assert distill("check", "built.yaml").code == 0
