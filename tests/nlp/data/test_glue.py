from __future__ import annotations

import pytest
import torch

from distill_core.errors import DataError
from distill_nlp.data import glue

COUNTS = {
    ("cola", "train"): 8551,
    ("cola", "val"): 1043,
    ("rte", "train"): 2490,
    ("rte", "val"): 277,
    ("sst2", "val"): 872,
    ("stsb", "train"): 5749,
    ("stsb", "val"): 1500,
    ("stsb", "test"): 1379,
    ("wnli", "train"): 635,
    ("wnli", "val"): 71,
}


@pytest.mark.parametrize(("task", "split"), COUNTS)
def test_the_official_files_have_the_official_number_of_rows(data_root, tokenizer, task, split):
    loader = glue(task, split, tokenizer=tokenizer, batch_size=32, root=data_root / "glue", max_length=16)
    assert loader.num_samples == COUNTS[task, split]
    batch = next(iter(loader))
    assert batch["input_ids"].shape[0] == 32
    assert batch["target"].dtype == (torch.float32 if task == "stsb" else torch.int64)


def test_a_task_is_read_from_its_folder(table, tokenizer, tmp_path, monkeypatch):
    table(
        "sentence1\tsentence2\tlabel\na girl\ta man\tentailment\nher hair\ta flute\tnot_entailment\n",
        "glue/RTE/dev.tsv",
    )
    (batch,) = glue("rte", "val", tokenizer=tokenizer, batch_size=4, root=tmp_path / "glue")
    assert batch["target"].tolist() == [0, 1]
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    (same,) = glue("rte", "val", tokenizer=tokenizer, batch_size=4)
    assert torch.equal(same["input_ids"], batch["input_ids"])


def test_only_the_training_split_is_shuffled(table, tokenizer, tmp_path):
    for file in ("train", "dev"):
        table("sentence\tlabel\na girl\t1\n", f"CoLA/{file}.tsv")
    loaders = {
        split: glue("cola", split, tokenizer=tokenizer, batch_size=1, root=tmp_path) for split in ("train", "val")
    }
    assert {split: loader.shuffle for split, loader in loaders.items()} == {"train": True, "val": False}


@pytest.mark.parametrize(
    ("task", "split", "message"),
    [
        ("sst", "train", "there is no GLUE task 'sst'\n  hint: did you mean 'sst2'?"),
        ("sst2", "dev", "sst2 has no split 'dev'\n  hint: choose from 'test', 'train', 'val'"),
    ],
)
def test_an_unknown_task_or_split_is_refused(tokenizer, task, split, message):
    with pytest.raises(DataError) as caught:
        glue(task, split, tokenizer=tokenizer, batch_size=1)
    assert str(caught.value) == message


def test_the_example_of_a_task_with_scores_has_scores(tokenizer):
    assert glue.example_batch("stsb", "train", tokenizer=tokenizer, batch_size=2)["target"].dtype == torch.float32
    assert glue.example_batch("cola", "train", tokenizer=tokenizer, batch_size=2)["target"].dtype == torch.int64
