from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from distill_core.errors import DataError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer
from distill_nlp.data import glue
from distill_nlp.predictions import WriteGluePredictions, write_glue_predictions

FILES = [
    ("cola", "test", "CoLA.tsv", ["0", "1"]),
    ("sst2", "test", "SST-2.tsv", ["0", "1"]),
    ("mrpc", "test", "MRPC.tsv", ["0", "1"]),
    ("qqp", "test", "QQP.tsv", ["0", "1"]),
    ("mnli", "test", "MNLI-m.tsv", ["entailment", "neutral", "contradiction"]),
    ("mnli", "test_mismatched", "MNLI-mm.tsv", ["entailment", "neutral", "contradiction"]),
    ("qnli", "test", "QNLI.tsv", ["entailment", "not_entailment"]),
    ("rte", "test", "RTE.tsv", ["entailment", "not_entailment"]),
    ("wnli", "test", "WNLI.tsv", ["0", "1"]),
    ("ax", "test", "AX.tsv", ["entailment", "neutral", "contradiction"]),
]


@pytest.mark.parametrize(("task", "split", "name", "words"), FILES)
def test_the_file_has_the_format_of_the_leaderboard(tmp_path, task, split, name, words):
    path = write_glue_predictions(task, torch.eye(len(words)), tmp_path / "new", split=split)
    assert path.name == name
    lines = "".join(f"{number}\t{word}\n" for number, word in enumerate(words))
    assert path.read_bytes() == f"index\tprediction\n{lines}".encode()


def test_scores_are_clamped(tmp_path):
    path = write_glue_predictions("stsb", torch.tensor([[-0.2], [2.34567], [7.0]]), tmp_path)
    assert path.name == "STS-B.tsv"
    assert path.read_text() == "index\tprediction\n0\t0.000\n1\t2.346\n2\t5.000\n"


@pytest.mark.parametrize(
    ("task", "preds", "message"),
    [
        ("mnli", torch.zeros(4, 2), "`preds` of mnli must be (samples, 3), got (4, 2)"),
        ("sst2", torch.zeros(4), "`preds` of sst2 must be (samples, 2), got (4,)"),
        ("sst2", torch.tensor([[float("nan"), 0]]), "`preds` of sst2 must not be NaN"),
        ("sst2", torch.zeros(4, 2), "`preds` of sst2 must have 5 samples, got 4"),
    ],
)
def test_invalid_arguments_are_refused(tmp_path, task, preds, message):
    with pytest.raises(DataError) as caught:
        write_glue_predictions(task, preds, tmp_path, count=5)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


class Lengths(nn.Module):
    """A model that predicts class 1 for texts longer than four tokens, whatever it learns."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, attention_mask):
        excess = (attention_mask.sum(1) - 4.5) * (1 + self.scale**2)
        return torch.stack([-excess, excess], dim=1)


@pytest.fixture
def trainer(table, tokenizer, tmp_path):
    """Return a function that builds a trainer with three test sentences, shortest last."""
    table("sentence\tlabel\na girl\t0\nthe film is a delight\t1\n", "SST-2/train.tsv")
    table("index\tsentence\n0\tthe film is a delight\n1\ta girl\n2\tthe plot is a mess\n", "SST-2/test.tsv")
    options = {"tokenizer": tokenizer, "batch_size": 2, "root": tmp_path}
    test = glue("sst2", "test", **options, group_by_length=True)

    def make(folder, output):
        stage = Stage(
            epochs=1,
            optimizer=functools.partial(torch.optim.SGD, lr=0.01),
            losses={"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})},
            feed={"student": {"attention_mask": "batch.attention_mask"}},
        )
        data = {"train": glue("sst2", "train", **options)}
        callback = WriteGluePredictions("sst2", test, preds="student", folder=folder)
        experiment = Experiment(models={"student": Lengths()}, data=data, stages=[stage], callbacks=[callback])
        return Trainer(experiment, output=output)

    return make


@pytest.mark.parametrize("own", [True, False])
def test_a_run_writes_its_predictions_in_the_order_of_the_test(trainer, tmp_path, own):
    folder = tmp_path / "mine" if own else None
    trainer(folder, tmp_path / "run").fit()
    path = (folder or tmp_path / "run" / "predictions") / "SST-2.tsv"
    assert path.read_text() == "index\tprediction\n0\t1\n1\t0\n2\t1\n"


def test_a_run_without_a_folder_is_refused_before_training(trainer):
    with pytest.raises(DataError) as caught:
        trainer(None, None).fit()
    assert str(caught.value) == (
        "WriteGluePredictions: no output folder is set\n  hint: set `folder`, or run with an output folder"
    )


@pytest.mark.slow
def test_two_processes_write_all_samples_once(table, tmp_path):
    """Five samples are not divisible by two. A sharded model runs only on both processes together."""
    table("sentence\tlabel\na girl\t0\nthe film is a delight\t1\n", "SST-2/train.tsv")
    texts = ["the film is a delight", "a girl", "the plot is a mess", "a film", "the girl is a delight"]
    rows = "".join(f"{index}\t{text}\n" for index, text in enumerate(texts))
    table(f"index\tsentence\n{rows}", "SST-2/test.tsv")
    script = Path(__file__).parent / "two_processes.py"
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for parallel in ("ddp", "fsdp"):
        path = tmp_path / parallel / "SST-2.tsv"
        assert path.read_text() == "index\tprediction\n0\t1\n1\t0\n2\t1\n3\t0\n4\t1\n"
