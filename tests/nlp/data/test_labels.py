"""Labels in the spellings of spreadsheets, data frames and hubs."""

from __future__ import annotations

import json
import math

import pytest

from distill_core.errors import DataError
from distill_nlp.data import num_labels, text_classification, token_classification


@pytest.fixture
def targets(tmp_path, tokenizer):
    def read(cells, kind="jsonl", **options):
        path = tmp_path / f"rows.{kind}"
        rows = [{"sentence": f"a girl {number}", "label": cell} for number, cell in enumerate(cells)]
        if kind == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif kind == "parquet":
            from pyarrow import Table, parquet

            parquet.write_table(Table.from_pylist(rows), path)
        else:
            path.write_text("\n".join(["sentence,label", *(f"{row['sentence']},{row['label']}" for row in rows)]))
        loader = text_classification(path, tokenizer=tokenizer, batch_size=64, **options)
        return next(iter(loader))["target"].tolist(), loader

    return read


WRITTEN = [
    ([0, 1], ["0", "1"], [0, 1]),
    ([0.0, 1.0], ["0", "1"], [0, 1]),
    (["0.0", " 1 ", "1.000"], ["0", "1"], [0, 1, 1]),
    ([True, False, "True", "false"], ["0", "1"], [1, 0, 1, 0]),
    ([True, False], ["no", "yes"], [1, 0]),
    ([2.0, "0", "two", " one"], ["zero", "one", "two"], [2, 0, 2, 1]),
    (["1.0", 2], ["1.0", "2"], [0, 1]),
    (["2", 1.0], [1, 2], [1, 0]),
    ([10.0, "9", " 10 "], "auto", [1, 0, 1]),
    (["b ", "a"], "auto", [1, 0]),
    ([-1, 1.0, 0], "auto", [0, 2, 1]),
    ([True, False], "auto", [1, 0]),
]


@pytest.mark.parametrize(("cells", "labels", "expected"), WRITTEN)
def test_all_spellings_of_a_label_are_equal(targets, cells, labels, expected):
    kinds = ["jsonl", "csv"] + ["parquet"] * (len({type(cell) for cell in cells}) == 1)
    for kind in kinds:
        assert targets(cells, kind, labels=labels)[0] == expected


@pytest.mark.parametrize(
    ("cells", "labels", "message"),
    [
        ([1, 1.5], ["0", "1"], "the label 1.5 is not one of ['0', '1']"),
        ([1, "1.5"], "auto", "the label '1.5' is not an integer\n  hint: name the classes in `labels`, or set labels: null for scores"),
        ([1, 1.5], "auto", "the label 1.5 is not an integer\n  hint: name the classes in `labels`, or set labels: null for scores"),
        ([1, None], ["0", "1"], "the row has no label (None)"),
        ([1, math.nan], ["0", "1"], "the row has no label (nan)"),
        ([1, " "], "auto", "the row has no label (' ')"),
        (["a", "nan"], "auto", "the row has no label ('nan')"),
        ([0, 2], ["a", "b"], "the label 2 is not one of ['a', 'b']"),
        ([0, -1], ["a", "b"], "the label -1 is not one of ['a', 'b']"),
        ([0, "A"], ["a", "b"], "the label 'A' is not one of ['a', 'b']"),
        ([0, True], ["0", "1", "2"], "the label True is not one of ['0', '1', '2']"),
        ([1, 0], ["1", "2"], "the label 0 is not one of ['1', '2']"),
        ([0, [1]], ["0", "1"], "the label [1] is not one of ['0', '1']"),
        ([0, [1]], "auto", "a label must be text or an integer, got the list [1]"),
        ([0.5, None], None, "without `labels` the target must be a finite number, got None"),
        ([0.5, math.nan], None, "without `labels` the target must be a finite number, got nan"),
        ([0.5, "1_000"], None, "without `labels` the target must be a finite number, got '1_000'"),
        ([0.5, "0,5"], None, "without `labels` the target must be a finite number, got '0,5'"),
        ([0.5, [1.0]], None, "without `labels` the target must be a finite number, got [1.0]"),
    ],
)  # fmt: skip
def test_an_invalid_label_is_refused_with_its_line(targets, tmp_path, cells, labels, message):
    with pytest.raises(DataError) as caught:
        targets(cells, labels=labels)
    assert str(caught.value) == f"{tmp_path / 'rows.jsonl'}:2: {message}"


def test_scores_may_have_surrounding_whitespace(targets):
    assert targets([" 0.5 ", 2, "3e-1"], labels=None)[0] == pytest.approx([0.5, 2, 0.3])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a"], "`labels` must be at least one class, each once, got ['a', 'a']"),
        ([], "`labels` must be at least one class, each once, got []"),
        (
            ["", "a"],
            "`labels` has an empty name: ['', 'a']\n  hint: name each class, and give rows without a label one, or delete them",
        ),
        ([False, True], "`labels` must be text, got False\n  hint: quote it"),
    ],
)
def test_class_names_are_checked(targets, labels, message):
    with pytest.raises(DataError) as caught:
        targets([0, 1], labels=labels)
    assert str(caught.value) == message


def test_several_labels_are_lists_or_text(targets, tmp_path):
    cells = [["a, b", "c"], [], "['a, b']", "c", ""]
    for labels in (["a, b", "c"], "auto"):
        assert targets(cells, several=True, labels=labels)[0] == [[1, 1], [0, 0], [1, 0], [0, 1], [0, 0]]
    assert targets([[0.0, 2], "[1.0]"], several=True, labels="auto")[0] == [[1, 0, 1], [0, 1, 0]]
    for cells, fault in (
        ([["c"], None], "several labels must be a list or text, got None"),
        ([["c"], ["d"]], "the label 'd' is"),
    ):
        with pytest.raises(DataError) as caught:
            targets(cells, several=True, labels=["a", "c"])
        assert str(caught.value).startswith(f"{tmp_path / 'rows.jsonl'}:2: {fault}")


def test_punctuation_is_a_tag_and_an_unknown_tag_is_named(tmp_path, tokenizer):
    path = tmp_path / "pos.txt"
    path.write_text("girl NN\n. .\n, ,\n\n`` ``\n")
    assert num_labels(token_classification(path, tokenizer=tokenizer, batch_size=1)) == 4
    with pytest.raises(DataError) as caught:
        token_classification(path, tokenizer=tokenizer, batch_size=1, labels=["NN", ".", ","])
    assert str(caught.value) == f"{path}:5: the label '``' is not one of ['NN', '.', ',']"
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"tokens": ["girl"], "ner_tags": [0]}\n{"tokens": ["a", "b"], "ner_tags": [1.0, 5]}\n')
    with pytest.raises(DataError) as caught:
        token_classification(rows, tokenizer=tokenizer, batch_size=1, labels=["O", "B"])
    assert str(caught.value) == f"{rows}:2, word 2: the label 5 is not one of ['O', 'B']"
