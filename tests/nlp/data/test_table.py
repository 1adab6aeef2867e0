from __future__ import annotations

import pytest

from distill_core.errors import DataError
from distill_nlp.data import read_table


def test_columns_by_name(table):
    path = table('sentence\tlabel\nit \'s "good"\t1\r\n\n"half a quote\t0\n')
    assert read_table(path) == {"sentence": ['it \'s "good"', '"half a quote'], "label": ["1", "0"]}


def test_a_byte_order_mark_is_not_part_of_a_name(table):
    assert read_table(table("\ufeffsentence\tlabel\na\t1\n")).keys() == {"sentence", "label"}


def test_a_line_separator_inside_a_text_does_not_end_the_row(table):
    assert read_table(table("sentence\tlabel\na\u2028b\x0bc\t1\n"))["sentence"] == ["a\u2028b\x0bc"]


def test_a_row_with_a_wrong_number_of_cells_is_refused(table):
    path = table("sentence\tlabel\na\t1\nb\n")
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value) == f"{path}:3: expected 2 cells (sentence, label), got 1"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "none.tsv")
    assert str(caught.value) == (
        f"{tmp_path / 'none.tsv'} does not exist\n  hint: give the folder with the files, or set DISTILL_DATA"
    )


@pytest.mark.parametrize(
    ("suffix", "text", "line"),
    [
        ("jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": 1, "label": 0}\n', 2),
        ("jsonl", '{"text": "a", "more": {"label": 1, "label": 1}}\n', 1),
        ("json", '[{"text": "a", "label": 1, "label": 0}]', 1),
    ],
)
def test_a_duplicate_key_is_refused(tmp_path, suffix, text, line):
    path = tmp_path / f"a.{suffix}"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_table(path)
    expected = f"{path}:{line}: the JSON cannot be read: an object has the key 'label' more than once"
    assert str(caught.value) == expected
