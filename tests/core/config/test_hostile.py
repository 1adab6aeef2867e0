"""Hostile files: check and build refuse all of them, and none of their code runs."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import torch

from distill_core.config import Builder, TrustProblem
from distill_core.errors import ConfigError, TrustError

CASES: dict[str, str] = json.loads((Path(__file__).parent / "hostile.json").read_text(encoding="utf-8"))
NO_TAG = {"python-tag", "python-name", "python-module"}
NO_NAME = {"torchvision-os", "transformers-os", "ours-os", "ours-torch-load", "data-os"}
"""The tag or name does not exist, so the file is malformed and trust is not checked."""


def _installed(value: str) -> bool:
    roots = set(re.findall(r"(?:!import_\w+:|package: )(torchvision|transformers)\b", value))
    return all(importlib.util.find_spec(root) for root in roots)


@pytest.fixture(autouse=True)
def _nothing_happens(tmp_path, monkeypatch):
    """Check that no file was written, no module imported and torch is unchanged."""
    monkeypatch.setenv("BROWSER", "true")
    before = torch.nn.Linear.forward
    yield
    assert [path.name for path in tmp_path.iterdir() if path.name != "run.yaml"] == []
    assert torch.nn.Linear.forward is before
    assert "antigravity" not in sys.modules


def test_there_are_enough_cases():
    assert len(CASES) >= 30


@pytest.mark.parametrize("name", CASES)
def test_check_refuses(problems, name):
    found = problems(f"models: {{}}\ndata: {{}}\nstages: []\n_x: {CASES[name]}\n")
    assert found
    assert {problem.location.line for problem in found if problem.location} == {4}
    if name not in NO_TAG | NO_NAME and _installed(CASES[name]):
        assert any(isinstance(problem, TrustProblem) for problem in found)


@pytest.mark.parametrize("name", CASES)
def test_build_refuses(document, name):
    loaded = document(f"x: {CASES[name]}\n")
    error = ConfigError if name in NO_TAG | NO_NAME or not _installed(CASES[name]) else TrustError
    with pytest.raises(error) as raised:
        Builder(loaded).build(loaded.root)
    assert raised.value.problems[0].location.file == "run.yaml"


@pytest.mark.parametrize("name", CASES)
def test_an_override_is_refused_too(problems, name):
    text = "models: {}\ndata: {}\nstages: []\n"
    found = problems(text, f"+about={CASES[name]}")
    assert "command line" in {problem.location.file for problem in found if problem.location}


@pytest.mark.parametrize(
    "trust", ["os", "builtins", "subprocess", "posix", "torch.load", "torch.hub", "distill_core.config"]
)
def test_what_no_trust_opens(document, problems, trust):
    loaded = document("models: {}\ndata: {}\nstages: []\n")
    with pytest.raises(TrustError) as raised:
        Builder(loaded, (trust,))
    assert raised.value.exit_code == 3
    assert [problem.id for problem in raised.value.problems] == ["trust-not-allowed"]
    assert [str(problem) for problem in problems("models: {}\ndata: {}\nstages: []\n", trust=(trust,))] == [
        str(raised.value)
    ]


@pytest.mark.parametrize("name", ["os-system", "torch-load", "eval", "subprocess-run"])
def test_a_trusted_package_opens_nothing_else(document, problems, tmp_path_factory, monkeypatch, name):
    folder = tmp_path_factory.mktemp("code")
    (folder / "trusted_package").mkdir()
    (folder / "trusted_package" / "__init__.py").write_text(
        "import os\nfrom torch import load\nfrom subprocess import run\nevil = eval\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(folder)
    value = {
        "os-system": "!import_call:trusted_package.os.system ['touch MARK']",
        "torch-load": "!import_call:trusted_package.load [MARK]",
        "eval": "!import_call:trusted_package.evil [\"open('MARK', 'w')\"]",
        "subprocess-run": "!import_call:trusted_package.run [[touch, MARK]]",
    }[name]
    loaded = document(f"x: {value}\n")
    with pytest.raises(TrustError):
        Builder(loaded, ("trusted_package",)).build(loaded.root)
    found = problems(f"models: {{}}\ndata: {{}}\nstages: []\n_x: {value}\n", trust=("trusted_package",))
    assert name == "eval" or any(isinstance(problem, TrustProblem) for problem in found)
    sys.modules.pop("trusted_package", None)


def test_an_import_of_what_is_not_trusted(document):
    from distill_core.experiment import Experiment

    loaded = document("models: {}\ndata: {}\nstages: []\nimports: [antigravity]\n")
    with pytest.raises(TrustError) as raised:
        Builder(loaded).decode(loaded.root, Experiment)
    assert raised.value.problems[0].id == "untrusted-package"


def test_trust_in_the_file_changes_nothing(document):
    from distill_core.experiment import Experiment

    loaded = document("models: {}\ndata: {}\nstages: []\ntrust: [antigravity]\nimports: [antigravity]\n")
    with pytest.raises(TrustError) as raised:
        Builder(loaded).decode(loaded.root, Experiment)
    assert raised.value.problems[0].id == "trust-in-file"


@pytest.mark.parametrize(
    "value", ["!import_call:builtins.dict [[[trust_remote_code, true]]]", "{a: [{weights_only: false}]}"]
)
def test_a_forbidden_argument_deep_inside_another(document, value):
    loaded = document(f"x: !import_partial:torch.optim.SGD {{lr: {value}}}\n")
    with pytest.raises(TrustError, match=r"is refused: it (runs code|unpickles)"):
        Builder(loaded).build(loaded.root)
