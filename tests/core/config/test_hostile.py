"""None of the hostile files gets past the guard, neither when checked nor when built, and nothing of them runs."""

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
"""There is no such tag, or no such name: the file is wrong before anybody's trust is asked for."""


def _installed(value: str) -> bool:
    roots = set(re.findall(r"(?:!import_\w+:|package: )(torchvision|transformers)\b", value))
    return all(importlib.util.find_spec(root) for root in roots)


@pytest.fixture(autouse=True)
def _nothing_happens(tmp_path, monkeypatch):
    """No file, no foreign module, no change of torch: whatever was tried."""
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
    made = document(f"x: {CASES[name]}\n")
    error = ConfigError if name in NO_TAG | NO_NAME or not _installed(CASES[name]) else TrustError
    with pytest.raises(error) as raised:
        Builder(made).build(made.root)
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
    made = document("models: {}\ndata: {}\nstages: []\n")
    with pytest.raises(TrustError) as raised:
        Builder(made, (trust,))
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
    made = document(f"x: {value}\n")
    with pytest.raises(TrustError):
        Builder(made, ("trusted_package",)).build(made.root)
    found = problems(f"models: {{}}\ndata: {{}}\nstages: []\n_x: {value}\n", trust=("trusted_package",))
    assert name == "eval" or any(isinstance(problem, TrustProblem) for problem in found)
    sys.modules.pop("trusted_package", None)


def test_an_import_of_what_is_not_trusted(document):
    from distill_core.experiment import Experiment

    made = document("models: {}\ndata: {}\nstages: []\nimports: [antigravity]\n")
    with pytest.raises(TrustError) as raised:
        Builder(made).decode(made.root, Experiment)
    assert raised.value.problems[0].id == "untrusted-package"


def test_trust_in_the_file_changes_nothing(document):
    from distill_core.experiment import Experiment

    made = document("models: {}\ndata: {}\nstages: []\ntrust: [antigravity]\nimports: [antigravity]\n")
    with pytest.raises(TrustError) as raised:
        Builder(made).decode(made.root, Experiment)
    assert raised.value.problems[0].id == "trust-in-file"


@pytest.mark.parametrize(
    "value", ["!import_call:builtins.dict [[[trust_remote_code, true]]]", "{a: [{weights_only: false}]}"]
)
def test_a_forbidden_argument_deep_inside_another(document, value):
    made = document(f"x: !import_partial:torch.optim.SGD {{lr: {value}}}\n")
    with pytest.raises(TrustError, match=r"is refused: it (runs code|unpickles)"):
        Builder(made).build(made.root)
