"""Recipes of texts run two batches of generated data, with tiny models; sweeps name existing keys."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from distill_core.cli import run_experiment
from distill_core.cli._load import load_document
from distill_core.cli.run._sweep_file import read_sweep
from distill_core.config import Builder, NodesByKey
from distill_core.data import Loader, TensorData
from distill_core.experiment import Experiment
from distill_core.train import Checkpoint, Evaluate, Trainer
from distill_nlp.models import SavePretrained
from distill_nlp.predictions import WriteGluePredictions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FILES = sorted((BENCHMARKS / "text_classification/configs").glob("*/*.yaml"))
OWN_FILES = ("go_emotions", "conll2003", "squad")  # run on files like theirs
TASKS = [file for file in FILES if file.parent.name not in OWN_FILES]
GLUE = sorted(file for task in ("cola", "mnli", "stsb") for file in (BENCHMARKS / "glue/configs" / task).glob("*.yaml"))
OTHERS = ("mrpc", "qnli", "qqp", "rte", "sst2", "wnli")


def name(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


class Generated(TensorData):
    """Return two batches like the example: short texts of random words, class indices 0 and 1, scores."""

    def __init__(self, example: dict[str, torch.Tensor]) -> None:
        self.example = example
        super().__init__({"index": torch.arange(2 * len(example["index"]))})

    def batch(self, indices, seeds):
        share = len(indices) / len(self.example["index"])
        return {
            name: self._field(name, (int(len(value) * share), *value.shape[1:]), value.dtype)
            for name, value in self.example.items()
            if name != "index"
        }

    @staticmethod
    def _field(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if name.endswith("attention_mask"):
            return torch.ones(shape, dtype=torch.long)
        if dtype != torch.long:
            return torch.rand(shape) if dtype.is_floating_point else torch.ones(shape, dtype=dtype)
        return torch.randint(2, 9, shape) if name.endswith("input_ids") else torch.randint(2, shape)


def generated(loader) -> Loader:
    return Loader(Generated(loader.func.example_batch(*loader.args, **loader.keywords | {"batch_size": 4})), 4)


def own(data):
    """Return the data of a stage, if it is set."""
    return generated(data) if isinstance(data, partial) else data


def experiment(file: Path, changes: list[str]) -> Experiment:
    """Build the file's experiment with one epoch per stage and small batches."""
    document = load_document(file, changes)
    for node in NodesByKey(document).loaders():
        node.tag = node.tag.replace("!import_call", "!import_partial", 1)
    built = Builder(document).decode(document.root, Experiment)
    for callback in built.callbacks:
        if isinstance(callback, Evaluate):
            callback.evaluation = replace(callback.evaluation, loader=generated(callback.evaluation.loader))
    writing = (Checkpoint, SavePretrained, WriteGluePredictions)
    return replace(
        built,
        data={split: generated(loader) for split, loader in built.data.items()},
        stages=[replace(stage, epochs=1, accumulate=1, data=own(stage.data)) for stage in built.stages],
        callbacks=[callback for callback in built.callbacks if not isinstance(callback, writing)],
        test=None if built.test is None else replace(built.test, loader=generated(built.test.loader)),
        cache={},
        log_every=1,
    )


@pytest.fixture(autouse=True)
def _data(tmp_path, monkeypatch):
    """A few sentences, from which tokenizers are trained."""
    for folder in ("SST-2", "CoLA"):
        (tmp_path / "glue" / folder).mkdir(parents=True)
        (tmp_path / "glue" / folder / "train.tsv").write_text("sentence\tlabel\na text of a few words\t1\n")
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))


def test_there_are_files():
    assert len(TASKS) > 10
    assert len(GLUE) == 9
    for task in OTHERS:
        assert len(list((BENCHMARKS / "glue/configs" / task).glob("*.yaml"))) == 3


@pytest.mark.parametrize("file", [*TASKS, *GLUE], ids=name)
def test_two_batches_of_a_file(file, instead, seen):
    ready = experiment(file, instead(file))
    before = {key: value.clone() for key, value in ready.models["student"].state_dict().items()}
    results = Trainer(ready, callbacks=[seen]).fit()
    assert len(seen.terms) == 2 * len(ready.stages)
    assert all(math.isfinite(value) for terms in seen.terms for value in terms.values())
    assert ready.test is None or results["last"]["test"]
    changed = any(not torch.equal(before[key], value) for key, value in ready.models["student"].state_dict().items())
    assert changed != file.stem.startswith("untrained")


@pytest.mark.parametrize("file", sorted((BENCHMARKS / "glue").glob("sweep*.yaml")), ids=lambda file: file.stem)
def test_every_value_of_a_sweep_fits_its_experiment(file):
    sweep = read_sweep(file, [])
    firsts = [f"{key}={values[0]}" for key, values in sweep.grid.items()]
    for key, values in sweep.grid.items():
        for value in values:
            load_document(sweep.experiment, [*firsts, f"{key}={value}"])


def emotions(folder: Path) -> None:
    text = "text\tlabels\tid\n" + "\n".join(f"words number {n}\t{n % 28},3\t{n}" for n in range(8)) + "\n"
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_text(text)


def names(folder: Path) -> None:
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text("EU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\nBlackburn NNP I-PER\n")


def questions(folder: Path) -> None:
    answers = [{"text": "cat", "answer_start": 4}]
    row = {"context": "The cat sat.", "qas": [{"id": "a", "question": "Who sat?", "answers": answers}]}
    for split in ("train", "dev"):
        (folder / f"{split}-v1.1.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": [row, row]}]}))


@pytest.mark.parametrize(
    ("task", "write", "metric"),
    [
        ("go_emotions", emotions, "labels.macro_f1"),
        ("conll2003", names, "entities.f1"),
        ("squad", questions, "squad.f1"),
    ],
)
def test_a_task_runs_on_files_like_its_own_and_its_student_after_it(
    tmp_path, monkeypatch, instead, task, write, metric
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / task).mkdir(parents=True)
    write(tmp_path / "data" / task)
    for file in sorted(file for file in FILES if file.parent.name == task):
        places = [change for change in instead(file) if not change.startswith("_teacher")]
        output = tmp_path / "runs" / task / file.stem / "seed0"
        results = run_experiment(file, [*places, "stages.0.epochs=1"], output=output, quiet=True)
        assert 0 <= results["test"][metric] <= 1
        assert (output / "student" / "model.safetensors").is_file()
