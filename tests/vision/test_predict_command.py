"""`distill predict` agrees with `distill evaluate` on the files of the test split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill_core.cli import evaluate_run, predict_run, run_experiment
from distill_core.cli._app import app
from distill_core.errors import ConfigError, DataError


def _command(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    return int(ended.value.code or 0)


CLASSES = ("dark", "grey", "light")
EXPERIMENT = """\
models: {student: !import_call:distill_vision.models.convnet {width: 4, num_classes: 3, in_channels: 3}}
data:
  train: !import_call:distill_vision.data.image_folder {split: train, root: ROOT, batch_size: 4, size: 16}
stages:
  - epochs: 1
    optimizer: !import_partial:torch.optim.SGD {lr: 0.01}
    losses:
      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student, target: batch.target}}
test:
  loader: !import_call:distill_vision.data.image_folder {split: test, root: ROOT, batch_size: 4, size: 16}
  metrics: {top1: {metric: !import_call:distill_vision.metrics.Accuracy {}, inputs: {preds: student, target: batch.target}}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("predict")
    noise = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 5)):
        for index, name in enumerate(CLASSES):
            folder = top / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(noise.normal(60 + 60 * index, 50, (20, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    (top / "run.yaml").write_text(EXPERIMENT.replace("ROOT", str(top)))
    run_experiment(top / "run.yaml", output=top / "out", quiet=True)
    return top


def test_predictions_of_the_test_images_have_the_accuracy_of_evaluate(finished, capsys):
    output = finished / "predictions.jsonl"
    records = predict_run(finished / "out", [finished / "val"], top=2, output=output)
    hits = [record["class"] == Path(record["input"]).parent.name for record in records]
    assert len(hits) == 15
    assert sum(hits) / 15 == pytest.approx(evaluate_run(finished / "out")["test"]["top1"])
    assert {record["class"] for record in records} <= set(CLASSES)
    assert all(len(record["top"]) == 2 for record in records)
    assert [json.loads(line) for line in output.read_text().splitlines()] == records
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there is nothing to predict"),
        ({"texts": ["a cat"]}, "the model takes images, got the text 'a cat'"),
        ({"inputs": [Path("none.png")]}, "the image none.png is missing"),
        ({"inputs": [Path()], "model": "studnet"}, "the run has no model 'studnet'\n  hint: did you mean 'student'?"),
        ({"inputs": [Path("a.png")], "output": Path("masks")}, "masks must have the extension .jsonl"),
    ],
    ids=["nothing", "text", "missing", "model", "output"],
)
def test_what_cannot_be_predicted_is_one_sentence(finished, options, message, monkeypatch):
    monkeypatch.chdir(finished / "val" / "dark")
    Path("a.png").write_bytes(Path("0.png").read_bytes())
    with pytest.raises((ConfigError, DataError)) as raised:
        predict_run(finished / "out", **options)
    Path("a.png").unlink()
    assert str(raised.value).startswith(message)


def test_each_class_has_the_accuracy_of_its_predictions(finished, capsys):
    records = predict_run(finished / "out", [finished / "val"])
    measured = evaluate_run(finished / "out", split="test", per_class=True)["test"]
    for name in CLASSES:
        found = [record["class"] == name for record in records if Path(record["input"]).parent.name == name]
        assert measured[f"top1.accuracy.{name}"] == pytest.approx(sum(found) / len(found))
    assert "top1.f1.dark" in measured
    capsys.readouterr()


@pytest.fixture
def one_bad(finished, tmp_path) -> Path:
    """Two images, and a file between them that is damaged."""
    for name, source in (("a.png", "dark/0.png"), ("c.png", "light/0.png")):
        (tmp_path / name).write_bytes((finished / "val" / source).read_bytes())
    (tmp_path / "b.png").write_bytes(b"\x89PNG damaged")
    return tmp_path


def test_an_input_that_cannot_be_read_does_not_keep_the_others_from_their_predictions(finished, one_bad):
    records = predict_run(finished / "out", [one_bad])
    good = predict_run(finished / "out", [one_bad / "a.png", one_bad / "c.png"])
    assert [records[0], records[2]] == good
    assert list(records[1]) == ["input", "error"]
    assert "b.png" in records[1]["error"]
    (alone,) = predict_run(finished / "out", [one_bad / "b.png"])
    assert alone == records[1]


def test_the_command_names_them_and_writes_json_to_the_file_only(finished, one_bad, capsys):
    arguments = ["predict", str(finished / "out"), str(one_bad)]
    assert _command(arguments) == 1
    printed = capsys.readouterr()
    assert [line.split()[0].rpartition("/")[2] for line in printed.out.splitlines()][1:] == ["a.png", "c.png"]
    assert printed.err.startswith("1 of 3 inputs cannot be read:\n  ")
    output = one_bad / "predictions.jsonl"
    _command([*arguments, "--json", "--output", str(output)])
    assert capsys.readouterr().out == ""
    assert [json.loads(line).get("class") for line in output.read_text().splitlines()].count(None) == 1


def test_classes_without_names_are_their_indices(finished, capsys):
    loader = "!import_call:distill_vision.data.digits {split: test, batch_size: 64}"
    student = "!import_call:distill_vision.models.convnet {width: 2, num_classes: 10, in_channels: 1}"
    accuracy = (
        "{metric: !import_call:distill_vision.metrics.Accuracy {}, inputs: {preds: student, target: batch.target}}"
    )
    file = finished / "digits.yaml"
    file.write_text(f"models: {{student: {student}}}\ntest: {{loader: {loader}, metrics: {{top1: {accuracy}}}}}\n")
    measured = evaluate_run(file, per_class=True)["test"]
    assert {f"top1.accuracy.{index}" for index in range(10)} <= measured.keys()
    with pytest.raises(DataError, match="`labels` selects training images, and the split is 'test'"):
        evaluate_run(file, data=["labels=10"])
    capsys.readouterr()
