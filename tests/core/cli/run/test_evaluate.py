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


def test_relative_paths_that_start_elsewhere_are_told(finished, distill, monkeypatch, tmp_path_factory, caplog):
    start = Path.cwd()
    distill("evaluate", "out", "--trust", "toy")
    assert "started in" not in caplog.text
    (elsewhere := tmp_path_factory.mktemp("elsewhere")).joinpath("test").mkdir()  # `split: test` could be this folder
    monkeypatch.chdir(elsewhere)
    assert distill("evaluate", start / "out", "--trust", "toy").code == 0
    assert f"was started in {start}; relative paths, 'test' for example, are read from {elsewhere}" in caplog.text


TEST_ONLY = """\
models: {student: !import_call:distill_core.weights.load_weights [!import_call:toy.Net {width: 4}, out/student.safetensors]}
test:
  loader: !import_call:toy.points {split: test}
  metrics: {share: {metric: !import_call:toy.Share {}, inputs: {preds: student, target: batch.target}}}
  feed: {student: {points: batch.input}}
"""


def shares(out: str) -> list[str]:
    return re.findall(r"[01]\.\d{4}", out)


def test_a_file_without_stages_only_tests(finished, distill):
    expected = f"{finished['best']['test']['share']:.4f}"
    Path("only.yaml").write_text(TEST_ONLY)
    assert distill("check", "only.yaml", "--trust", "toy").code == 0
    assert distill("check", "only.yaml", "--deep", "--trust", "toy").code == 0
    assert shares(distill("evaluate", "only.yaml", "--trust", "toy").out) == [expected]
    ran = distill("run", "only.yaml", "--output", "tested", "--trust", "toy")
    assert ran.code == 0, ran.err
    assert f"{json.loads(Path('tested/results.json').read_text())['test']['share']:.4f}" == expected
    ended = distill("evaluate", "only.yaml", "--checkpoint", "last", "--trust", "toy")
    assert ended.err.startswith("--checkpoint is for the folder of a run, got the file only.yaml")


def test_an_experiment_needs_stages_or_a_test(toy, distill):
    Path("none.yaml").write_text("models: {student: !import_call:torch.nn.Linear [1, 1]}\n")
    ended = distill("check", "none.yaml")
    assert ended.code == 2
    assert ended.err.startswith("none.yaml:1:1: an experiment needs at least one stage, or a test\n")


def test_other_data_and_other_splits(finished, distill):
    """The toy's split is the seed of its data: `val` through `--data` is the validation split."""
    val, test = (f"{finished['best'][split]['share']:.4f}" for split in ("val", "test"))
    assert shares(distill("evaluate", "out", "--split", "test", "--trust", "toy").out) == [test]
    assert shares(distill("evaluate", "out", "--split", "val", "--trust", "toy").out) == [val]
    assert shares(distill("evaluate", "out", "--split", "test", "--data", "split=val", "--trust", "toy").out) == [val]
    train, again = (
        distill("evaluate", "out", "--trust", "toy", *words)
        for words in (["--split", "train"], ["--split", "test", "test.loader.split=train"])
    )
    assert shares(train.out) == shares(again.out)
    sized = distill("evaluate", "out", "--split", "test", "--data", "size=3", "--trust", "toy")
    assert shares(sized.out)[0] in ("0.0000", "0.3333", "0.6667", "1.0000")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "tets"], "there is no split 'tets'\n  hint: did you mean 'test'?\n"),
        (
            ["--per-class"],
            "no metric of 'val' has values for each class\n"
            "  hint: add Accuracy or ClassScores of distill_vision.metrics or distill_nlp.metrics\n",
        ),
    ],
    ids=["split", "classes"],
)
def test_splits_and_classes_that_are_not_known(finished, distill, words, message):
    assert distill("evaluate", "out", *words, "--trust", "toy") == (2, "", message)


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


def test_json_has_all_digits(finished, distill):
    ended = distill("evaluate", "out", "--json", "--trust", "toy")
    assert json.loads(ended.out) == {split: finished["best"][split] for split in ("val", "test")}
