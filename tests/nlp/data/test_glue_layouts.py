"""Every GLUE task in the official layout, in that of the hub, and without labels."""

from __future__ import annotations

import json

import pytest
import torch

from distill_core.errors import DataError
from distill_nlp.data import glue, glue_task, glue_texts, num_labels

NLI = "\t".join(["index", "promptID", "pairID", "genre", "sentence1", "sentence2", "label1", "gold_label"])
STSB = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
# task, split, file, its text, the class indices or scores
OFFICIAL = [
    ("cola", "train", "CoLA/train.tsv", 'gj04\t1\t\ta girl\ngj04\t0\t*\t"a man\n', [1, 0]),
    ("cola", "test", "CoLA/test.tsv", "index\tsentence\n0\ta girl\n1\ta man\n", None),
    ("sst2", "val", "SST-2/dev.tsv", "sentence\tlabel\na girl\t1\na man\t0\n", [1, 0]),
    (
        "mrpc",
        "train",
        "MRPC/train.tsv",
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\ta girl\ther hair\r\n0\t7\t8\ta man\ther\r\n",
        [1, 0],
    ),
    ("stsb", "val", "STS-B/dev.tsv", f"{STSB}\n0\tg\tf\t2012\t1\tx\ty\ta girl\ther hair\t4.750\n", [4.75]),
    (
        "qqp",
        "train",
        "QQP/train.tsv",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta girl\ta man\t0\n5\tbroken\n1\t3\t4\tthe\tfilm\t1\n",
        [0, 1],
    ),
    ("mnli", "train", "MNLI/train.tsv", f"{NLI}\n0\t1\t1n\tg\ta girl\ta man\tx\tcontradiction\n", [2]),
    ("mnli", "val", "MNLI/dev_matched.tsv", f"{NLI}\n0\t1\t1n\tg\ta girl\ta man\tx\tneutral\n", [1]),
    ("mnli", "val_mismatched", "MNLI/dev_mismatched.tsv", f"{NLI}\n0\t1\t1n\tg\ta\tb\tx\tentailment\n", [0]),
    ("mnli", "test_mismatched", "MNLI/test_mismatched.tsv", "index\tsentence1\tsentence2\n0\ta girl\ta man\n", None),
    ("qnli", "val", "QNLI/dev.tsv", "index\tquestion\tsentence\tlabel\n0\ta girl\ta man\tnot_entailment\n", [1]),
    ("rte", "train", "RTE/train.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta girl\ta man\tentailment\n", [0]),
    ("wnli", "train", "WNLI/train.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta girl\ta man\t1\n", [1]),
    ("ax", "test", "diagnostic/diagnostic.tsv", "index\tsentence1\tsentence2\n0\ta girl\ta man\n", None),
]


@pytest.mark.parametrize(("task", "split", "file", "text", "target"), OFFICIAL, ids=lambda value: str(value)[:20])
def test_the_official_layout_is_read(table, tokenizer, tmp_path, task, split, file, text, target):
    table(text, file)
    (batch,) = glue(task, split, tokenizer=tokenizer, batch_size=8, root=tmp_path, shuffle=False)
    if target is None:
        assert "target" not in batch
    else:
        assert batch["target"].tolist() == target
    texts = glue_texts(task, split, root=tmp_path)
    expected = tokenizer(*texts, padding=True, return_tensors="pt")
    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert len(texts) == len(glue_task(task).columns)


def test_quotation_marks_are_text(table, tmp_path):
    table('x\t1\t\tHe said "no\nx\t0\t*\tyes"\n', "CoLA/dev.tsv")
    assert glue_texts("cola", "val", root=tmp_path) == [['He said "no', 'yes"']]


ROWS = [
    {"premise": "a girl, or so", "hypothesis": 'a "man"', "label": 2, "idx": 0},
    {"premise": "the film", "hypothesis": "a flute", "label": 0, "idx": 1},
]


def write_rows(folder, kind):
    path = folder / "MNLI" / f"validation_matched.{kind}"
    path.parent.mkdir()
    if kind == "csv":
        path.write_text('premise,hypothesis,label\n"a girl, or so","a ""man""",2\nthe film,a flute,0\n')
    elif kind == "json":
        path.write_text(json.dumps(ROWS, indent=1))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        from pyarrow import Table, parquet

        path = path.with_name("validation_matched-00000-of-00001.parquet")
        parquet.write_table(Table.from_pylist(ROWS), path)


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_files_with_the_names_of_the_hub_are_read(tokenizer, tmp_path, kind):
    write_rows(tmp_path, kind)
    (batch,) = glue("mnli", "val", tokenizer=tokenizer, batch_size=2, root=tmp_path)
    assert batch["target"].tolist() == [2, 0]
    assert glue_texts("mnli", "val", root=tmp_path) == [["a girl, or so", "the film"], ['a "man"', "a flute"]]


def test_labels_of_minus_one_are_ignored(tokenizer, tmp_path):
    path = tmp_path / "WNLI" / "test.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps({"sentence1": "a girl", "sentence2": "a man", "label": -1}) + "\n")
    (batch,) = glue("wnli", "test", tokenizer=tokenizer, batch_size=2, root=tmp_path)
    assert "target" not in batch


def test_an_unreachable_hub_raises_one_line_and_a_hint(tokenizer):
    with pytest.raises(DataError) as caught:
        glue("mnli", "val_mismatched", tokenizer=tokenizer, batch_size=2, hub="nyu-mll/glue")
    assert str(caught.value) == (
        "mnli of 'nyu-mll/glue' is not cached and could not be downloaded\n"
        "  hint: put MNLI/dev_mismatched.tsv (or .csv, .jsonl, .parquet) into a folder and give it as `root`"
    )


@pytest.mark.parametrize(
    ("task", "split", "message"),
    [
        ("ax", "train", "ax has no split 'train'\n  hint: choose from 'test'"),
        (
            "mnli",
            "dev_mismatched",
            "mnli has no split 'dev_mismatched'\n  hint: did you mean 'val_mismatched'?",
        ),
        (
            "qnli",
            "val",
            "{root}/QNLI/dev.tsv does not exist\n  hint: give the folder with the files, or set DISTILL_DATA",
        ),
        ("sst2", "val", "sst2, val: there is no column 'sentence'\n  hint: the columns are text, label"),
        ("rte", "val", "rte, val: there is no column 'label'\n  hint: the columns are sentence1, sentence2"),
        ("wnli", "val", "{root}/WNLI/dev.tsv:2: the label '2' is not one of ['0', '1']"),
    ],
)
def test_missing_files_columns_and_labels_are_named(table, tokenizer, tmp_path, task, split, message):
    table("text\tlabel\na\t1\n", "SST-2/dev.tsv")
    table("sentence1\tsentence2\na\tb\n", "RTE/dev.tsv")
    table("sentence1\tsentence2\tlabel\na\tb\t2\n", "WNLI/dev.tsv")
    with pytest.raises(DataError) as caught:
        glue(task, split, tokenizer=tokenizer, batch_size=2, root=tmp_path)
    assert str(caught.value) == message.format(root=tmp_path)


def test_the_number_of_labels_comes_from_the_data(table, tokenizer, tmp_path):
    table(OFFICIAL[4][3], "STS-B/dev.tsv")
    table(OFFICIAL[7][3], "MNLI/dev_matched.tsv")
    options = {"tokenizer": tokenizer, "batch_size": 2, "root": tmp_path}
    assert [num_labels(glue(task, "val", **options)) for task in ("mnli", "stsb")] == [3, 1]
    assert [num_labels(task) for task in ("ax", "qnli")] == [3, 2]
    with pytest.raises(DataError) as caught:
        num_labels([1])
    assert str(caught.value) == "list has no attribute `labels`"


def test_a_test_split_has_an_example_without_target(tokenizer):
    example = glue.example_batch("mnli", "test_mismatched", tokenizer=tokenizer, batch_size=2)
    assert "target" not in example
    assert example["input_ids"].is_meta
