from __future__ import annotations

import pytest
import torch

from distill_core.data import Loader
from distill_core.errors import DataError
from distill_nlp.data import PadCollate, num_labels, text_classification

FILE = "sentence\tlabel\nthe film is a delight\t1\nthe plot is a mess and the jokes are old\t0\na girl\t1\n"


def test_batches_are_padded_to_their_longest(table, tokenizer):
    loader = text_classification(table(FILE), tokenizer=tokenizer, batch_size=2)
    assert isinstance(loader, Loader)
    first, second = loader
    assert first.keys() == {"input_ids", "attention_mask", "token_type_ids", "target", "index"}
    texts = ["the film is a delight", "the plot is a mess and the jokes are old"]
    expected = tokenizer(texts, padding=True, return_tensors="pt")
    assert all(torch.equal(first[name], expected[name]) for name in expected)
    assert first["target"].tolist() == [1, 0]
    assert first["target"].dtype == torch.int64
    assert first["index"].tolist() == [0, 1]
    assert second["input_ids"].shape[1] == len(tokenizer("a girl")["input_ids"])


def test_the_padding_is_that_of_the_tokenizer(table, tokenizer):
    tokenizer = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, pad_token="[UNK]")
    (batch,) = text_classification(table(FILE), tokenizer=tokenizer, batch_size=3)
    padded = batch["attention_mask"] == 0
    assert padded.any()
    assert set(batch["input_ids"][padded].tolist()) == {tokenizer.unk_token_id or 1}


def test_long_texts_are_truncated(table, tokenizer):
    (batch,) = text_classification(table(FILE), tokenizer=tokenizer, batch_size=3, max_length=6)
    assert batch["input_ids"].shape == (3, 6)


def test_pairs_and_scores(table, tokenizer):
    path = table("one\ttwo\tscore\na girl\ther hair\t2.5\na man\ta flute\t4.75\n")
    (batch,) = text_classification(
        path, tokenizer=tokenizer, batch_size=2, columns=("one", "two"), target="score", labels=None
    )
    assert batch["target"].dtype == torch.float32
    assert batch["target"].tolist() == [2.5, 4.75]
    assert batch["token_type_ids"].unique().tolist() == [0, 1]


def test_labels_are_indexed_in_order(table, tokenizer):
    path = table("sentence\tlabel\na girl\tno\na man\tyes\n")
    (batch,) = text_classification(path, tokenizer=tokenizer, batch_size=2, labels=("no", "yes"))
    assert batch["target"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ("sentense",)}, "{file} has no column 'sentense'\n  hint: did you mean 'sentence'?"),
        ({"labels": ("0", "2")}, "{file}:2: the label '1' is not one of ['0', '2']"),
        (
            {"labels": None, "target": "sentence"},
            "{file}:2: without `labels` the target must be a finite number, got 'the film is a delight'",
        ),
        (
            {"tokenizer": "./no-such-folder"},
            "the tokenizer './no-such-folder' does not exist locally and could not be downloaded\n"
            "  hint: give a folder with a tokenizer",
        ),
    ],
)
def test_invalid_arguments_are_refused(table, tokenizer, options, message):
    path = table(FILE)
    with pytest.raises(DataError) as caught:
        text_classification(path, **{"tokenizer": tokenizer, "batch_size": 2, **options})
    assert str(caught.value) == message.format(file=path)
    if "tokenizer" not in options:  # a check reads the table
        with pytest.raises(DataError) as caught:
            text_classification.example_batch(path, **{"tokenizer": tokenizer, "batch_size": 2, **options})
        assert str(caught.value) == message.format(file=path)


def test_rows_are_held_out(table, tokenizer):
    path = table("sentence\tlabel\n" + "".join(f"a girl {number}\t{number}\n" for number in range(10)))
    options = {"tokenizer": tokenizer, "batch_size": 10, "labels": "auto", "holdout": 3}
    train, val = (text_classification(path, split=split, **options).dataset for split in ("train", "held_out"))
    assert (len(train), len(val)) == (7, 3)
    assert train.labels == val.labels == tuple(map(str, range(10)))  # also of classes without a row in the split
    assert sorted(train.targets + val.targets) == list(range(10))
    with pytest.raises(DataError, match="`split` must be 'train' or 'held_out', got 'val'"):
        text_classification(path, split="val", **options)


def test_a_tokenizer_without_padding_is_refused(table, tokenizer):
    bare = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(DataError) as caught:
        text_classification(table(FILE), tokenizer=bare, batch_size=2)
    assert (
        str(caught.value)
        == f"{type(bare).__name__} has neither a padding token nor an end token\n  hint: set its pad_token"
    )


def test_a_tokenizer_is_found_by_its_folder(table, tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    (by_folder,) = text_classification(table(FILE), tokenizer=str(tmp_path / "tokenizer"), batch_size=3)
    (by_object,) = text_classification(table(FILE), tokenizer=tokenizer, batch_size=3)
    assert torch.equal(by_folder["input_ids"], by_object["input_ids"])


@pytest.mark.parametrize("labels", [("0", "1"), None])
def test_the_example_has_the_fields_and_types_of_a_batch(table, tokenizer, labels):
    path = table(FILE)
    options = {"tokenizer": tokenizer, "batch_size": 3, "labels": labels}
    (batch,) = text_classification(path, **options)
    example = text_classification.example_batch("nowhere.tsv", **options)
    assert {name: (value.dtype, value.dim()) for name, value in example.items()} == {
        name: (value.dtype, value.dim()) for name, value in batch.items()
    }
    assert all(value.is_meta and len(value) == 3 for value in example.values())


def test_fields_that_are_not_tokens_are_stacked():
    batch = PadCollate({"input_ids": 9})([{"input_ids": [1], "target": 0.5}, {"input_ids": [1, 2], "target": 1.5}])
    assert batch["input_ids"].tolist() == [[1, 9], [1, 2]]
    assert batch["target"].tolist() == [0.5, 1.5]


def test_a_text_may_have_several_labels(table, tokenizer):
    file = table("text\tlabels\na girl\t0,2\nthe film\t\nthe plot\t1\n")
    options = {"tokenizer": tokenizer, "batch_size": 3, "columns": ["text"], "target": "labels", "several": True}
    for labels in (["0", "1", "2"], "auto"):
        loader = text_classification(file, labels=labels, **options)
        (batch,) = loader
        assert batch["target"].tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
        assert batch["target"].dtype == torch.float32
        assert num_labels(loader) == 3
    example = text_classification.example_batch(
        "nowhere.json", tokenizer=tokenizer, batch_size=4, labels=["0", "1", "2"], several=True
    )
    assert (example["target"].shape, example["target"].dtype) == ((4, 3), torch.float32)
    with pytest.raises(DataError) as caught:
        text_classification(file, labels=None, **options)
    assert str(caught.value) == (
        f"{file}: texts with several labels cannot have scores\n  hint: set `labels`, for example labels: auto"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "sentence\tlable\na film\t1\n"),
        ("a.csv", '\ufeffsentence,lable\n"a, b",1\n'),
        ("a.jsonl", '{"sentence": "a film", "lable": 1}\n'),
    ],
)
def test_the_example_of_a_batch_refuses_a_column_that_the_header_lacks(tmp_path, tokenizer, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        text_classification.example_batch(str(tmp_path / name), tokenizer=tokenizer, batch_size=2)
    assert str(caught.value) == f"{tmp_path / name} has no column 'label'\n  hint: did you mean 'lable'?"
    text_classification.example_batch(tmp_path / name, tokenizer=tokenizer, batch_size=2, target="lable")
    text_classification.example_batch(tmp_path / "none.csv", tokenizer=tokenizer, batch_size=2)
