"""`distill evaluate`: the same numbers again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest


@pytest.fixture
def finished(toy, distill):
    assert distill("run", toy, "--output", "out", "--trust", "toy").code == 0
    return json.loads(Path("out/results.json").read_text())


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_it_measures_what_the_run_measured(finished, distill, checkpoint):
    ended = distill("evaluate", "out", "--checkpoint", checkpoint, "--trust", "toy")
    assert ended.code == 0
    val, test = (finished[checkpoint][split]["share"] for split in ("val", "test"))
    assert re.search(r"val share +test share", ended.out)
    assert re.search(rf"\n +{checkpoint} +{val:.4f} +{test:.4f} ", ended.out)


def test_it_leaves_the_folder_as_it_is(finished, distill):
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    distill("evaluate", "out", "--trust", "toy")
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before


def test_other_weights_give_other_numbers(finished, distill):
    """Weights put there on purpose: the results no longer say which file they are of."""
    from safetensors.torch import load_file, save_file

    del finished["files"]
    Path("out/results.json").write_text(json.dumps(finished))
    weights = load_file("out/student.safetensors")
    save_file({name: -tensor for name, tensor in weights.items()}, "out/student.safetensors")
    ended = distill("evaluate", "out", "--trust", "toy")
    assert f"{finished['best']['test']['share']:.4f}" not in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("small",), "small is not the folder of a run: it has no config.resolved.yaml\n"),
        (
            ("out", "--checkpoint", "bets"),
            "--checkpoint must be 'best' or 'last', got 'bets'\n  hint: did you mean 'best'?\n",
        ),
    ],
)
def test_what_cannot_be_evaluated(toy, distill, words, message):
    Path("out").mkdir()
    assert distill("evaluate", *words, "--trust", "toy") == (2, "", message)


def test_a_run_without_checkpoints_cannot_be_evaluated(toy, distill):
    Path("out").mkdir()
    Path("out/config.resolved.yaml").write_text(distill("show", toy).out)
    ended = distill("evaluate", "out", "--trust", "toy")
    assert ended.code == 2
    assert (
        ended.err
        == "out has no best checkpoint\n  hint: if the run has not finished, resume it: distill run … --resume\n"
    )
