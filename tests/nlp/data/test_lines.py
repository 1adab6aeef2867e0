"""Lines, columns and cells of text files: content is preserved, and anything but text is refused with its location."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distill_core.errors import DataError
from distill_nlp.data import read_documents, read_questions, read_table, read_tagged

SEPARATORS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r"
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    | st.sampled_from(SEPARATORS + "\n\t \xa0\ufeff\"',")
)
ONE_LINE = TEXTS.map(lambda text: text.replace("\n", "").replace("\t", "").removesuffix("\r"))
# A byte order mark at the start of a file is not text.
WORDS = ONE_LINE.map(lambda text: text.lstrip("\ufeff")).filter(lambda word: bool(word.strip(" ")))
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4)
fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def columns(rows):
    return {"one": [row[0] for row in rows], "two": [row[1] for row in rows]}


@fuzzed
@given(ROWS, st.booleans(), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
@example([(SEPARATORS, "a\u2028b")], False, "\n", False, True)
def test_any_text_is_read_back_from_json_lines(tmp_path, rows, ensure_ascii, end, mark, ends):
    lines = [json.dumps(dict(zip(("one", "two"), row, strict=True)), ensure_ascii=ensure_ascii) for row in rows]
    file = write(tmp_path, "rows.jsonl", "\ufeff" * mark + end.join(lines) + end * ends)
    assert read_table(file) == columns(rows)
    assert (
        read_documents(file, column="one") == [row[0] for row in rows if row[0].strip()]
        if any(row[0].strip() for row in rows)
        else True
    )


@fuzzed
@given(ROWS)
def test_any_text_is_read_back_from_csv(tmp_path, rows):
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("one", "two"), *rows])
    assert read_table(write(tmp_path, "rows.csv", file.getvalue())) == columns(rows)


@fuzzed
@given(st.lists(st.tuples(ONE_LINE, ONE_LINE), min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]))
@example([('an "unbalanced quote', " "), ("", "")], "\n")
def test_any_line_of_text_is_read_back_from_tsv(tmp_path, rows, end):
    file = write(tmp_path, "rows.tsv", end.join("\t".join(row) for row in [("one", "two"), *rows]) + end)
    assert read_table(file) == columns(rows)


@fuzzed
@given(st.lists(st.tuples(WORDS, st.sampled_from("BIO")), min_size=1, max_size=5))
@example([("new york", "B"), ("\xa0", "O"), ("a\u2028b", "O")])
def test_any_word_is_read_back_from_columns_with_tabs(tmp_path, words):
    words = [(word, tag) for word, tag in words if not word.startswith("-DOCSTART-")] or [("a", "O")]
    file = write(tmp_path, "tags.conll", "\n".join("\t".join(pair) for pair in words))
    assert read_tagged(file) == ([[word for word, _ in words]], [[tag for _, tag in words]])


def test_without_tabs_runs_of_spaces_separate_columns(tmp_path):
    file = write(tmp_path, "tags.txt", "EU  NNP   B-ORG\r\n\xa0 X O \r\n\r\n \r\na\u2028b NN O\r\n")
    assert read_tagged(file) == ([["EU", "\xa0"], ["a\u2028b"]], [["B-ORG", "O"], ["O"]])


def test_values_of_parquet_files_are_not_converted_to_text(tmp_path):
    from pyarrow import Table, parquet

    rows = [{"one": "a\u2028", "two": 1.0}, {"one": None, "two": float("nan")}]
    parquet.write_table(Table.from_pylist(rows), tmp_path / "rows.parquet")
    table = read_table(tmp_path / "rows.parquet")
    assert table["one"] == ["a\u2028", None]
    assert table["two"][0] == 1.0
    with pytest.raises(DataError, match=r"rows.parquet: row 2: `one` must be text, got nothing$"):
        table.texts("one")


def test_long_texts_are_read_from_csv(tmp_path):
    text = "a long text, " * 20_000
    limit = csv.field_size_limit()
    assert read_table(write(tmp_path, "rows.csv", f'one,two\n"{text}",b\n'))["one"] == [text]
    assert csv.field_size_limit() == limit


READERS = {
    "a.tsv": read_table,
    "a.csv": read_table,
    "a.jsonl": read_table,
    "a.json": read_questions,
    "a.conll": read_tagged,
    "a.txt": read_documents,
}
REFUSED = [
    ("one\ntw\xf6".encode("latin1"), ":2: byte 3 of the line (0xf6) is not UTF-8 text\n  hint: convert the file, for example with `iconv -f LATIN1 -t UTF-8`"),
    (codecs.BOM_UTF8 + b"one\r\n\xff", ":2: byte 1 of the line (0xff) is not UTF-8 text\n  hint: convert the file, for example with `iconv -f LATIN1 -t UTF-8`"),
    ("one\ttwo".encode("utf-16"), " must be UTF-8, got UTF-16\n  hint: convert the file with `iconv -f UTF-16 -t UTF-8`"),
    ("one\ttwo".encode("utf-16-be"), ":1: byte 1 of the line (0x00) is not UTF-8 text\n  hint: convert the file, for example with `iconv -f LATIN1 -t UTF-8`"),
    (gzip.compress(b"one\ttwo\n"), " is compressed (gzip)\n  hint: decompress it first"),
]  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("raw", "message"), REFUSED, ids=["latin1", "bom", "utf16", "utf16be", "gzip"])
def test_every_reader_refuses_a_file_that_is_not_utf_8_with_line_and_byte(tmp_path, name, raw, message):
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        READERS[name](path)
    assert str(caught.value) == f"{path}{message}"


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", ["", "\ufeff", "\r\n\r\n"])
def test_every_reader_refuses_an_empty_file(tmp_path, name, text):
    path = write(tmp_path, name, text)
    with pytest.raises(DataError) as caught:
        READERS[name](path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "text\ttwo\n\t\n\na\n", ":4: expected 2 cells (text, two), got 1"),
        ("a.tsv", "text\ttwo\na\tb\tc\n", ":2: expected 2 cells (text, two), got 3"),
        ("a.tsv", "text\ttext\na\tb\n", ": the header has the column 'text' more than once"),
        ("a.tsv", "text\ttwo\n", " has no rows"),
        ("a.csv", 'text,two\n"x\ny",b\na\n', ":4: expected 2 cells (text, two), got 1"),
        ("a.csv", "text,two\na,b,c\n", ":2: expected 2 cells (text, two), got 3"),
        ("a.csv", "text;two\na;b\n", ": the cells of the header are separated by semicolons: 'text;two'\n  hint: separate the cells of a .csv file by commas"),
        ("a.csv", 'text\ttwo\na, b\tc\n', ": the cells of the header are separated by tabs: 'text\\ttwo'\n  hint: separate the cells of a .csv file by commas"),
        ("a.tsv", "id,text,two\n1,a,b\n", ": the cells of the header are separated by commas: 'id,text,two'\n  hint: separate the cells of a .tsv file by tabs"),
        ("a.csv", 'text,two\na,b\n"x"y,c\n', ":3: the row is not CSV: ',' expected after '\"'"),
        ("a.csv", 'text,two\na,b\n"x,c\n', ":3: the row is not CSV: unexpected end of data"),
        ("a.jsonl", '{"text": "a"}\n\n{"other": "b"}\n', ":3: the row has no field 'text'"),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', ":2: the row must be an object, got ['b']"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', ":2: not JSON at character 10: Expecting value"),
        ("a.json", '[{"text": "a"},\n {"text" "b"}]', ":2: not JSON at character 10: Expecting ':' delimiter"),
        ("a.json", '[{"text": "a"}, {}]', ": row 2: the row has no field 'text'"),
        ("a.jsonl", "[" * 100_000, ":1: the JSON cannot be read: "),
        ("a.jsonl", '{"text": [1, "b"]}\n', ":1: `text` must be text, got the list [1, 'b']"),
        ("a.jsonl", '{"text": {"b": 1}}\n', ":1: `text` must be text, got the dict {'b': 1}"),
        ("a.jsonl", '{"text": "a"}\n{"text": 7}\n', ":2: `text` must be text, got the int 7"),
        ("a.jsonl", '{"text": null}\n', ":1: `text` must be text, got nothing"),
        ("a.jsonl", '{"text": NaN}\n', ":1: `text` must be text, got the float nan"),
        ("a.jsonl", '{"text": "a\\ud800"}\n', ":1: `text` must be text, got half a surrogate pair: '\\ud800'"),
    ],
)  # fmt: skip
def test_an_invalid_row_is_refused_with_its_location(tmp_path, name, text, message):
    path = write(tmp_path, name, text)
    with pytest.raises(DataError) as caught:
        read_documents(path)
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "a O\nb X O\n", ":2: expected 2 columns as in the previous lines, got 3"),
        ("a.txt", "new york\tB\nis O\n", ":2: the word 'is O' has no tag"),
        ("a.txt", "a\tO\n\tO\n", ":2: the tag 'O' has no word"),
        ("a.txt", "a\tO\nb\t\n", ":2: the word 'b' has no tag"),
        ("a.txt", "\xa0\n", ":1: the word '\\xa0' has no tag"),
        ("a.csv", "tokens,tags\na,O\n", " must not be CSV\n  hint: give columns separated by tabs or spaces, JSON or parquet"),
        ("a.jsonl", '{"tokens": ["a", 1], "ner_tags": [0, 0]}', ":1: word 2 of `tokens` must be text, got the int 1"),
        ("a.jsonl", '{"tokens": "a b", "ner_tags": [0, 0]}', ":1: `tokens` must be a list, got 'a b'"),
        ("a.jsonl", '{"tokens": ["a"], "ner_tags": null}', ":1: `ner_tags` must be a list, got nothing"),
        ("a.jsonl", '{"tokens": ["a"]}\n', " has no column 'ner_tags'\n  hint: choose from 'tokens'"),
    ],
)  # fmt: skip
def test_an_invalid_line_of_tags_is_refused_with_its_location(tmp_path, name, text, message):
    path = write(tmp_path, name, text)
    with pytest.raises(DataError) as caught:
        read_tagged(path)
    assert str(caught.value) == f"{path}{message}"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ('{"text": ["a"], "answer_start": [0, 1]}', "ValueError: `answers` of 7 must have an integer start each, got 1 texts and [0, 1]"),
        ('{"text": ["a"], "answer_start": [0.5]}', "ValueError: `answers` of 7 must have an integer start each, got 1 texts and [0.5]"),
        ('{"text": [3], "answer_start": [0]}', "ValueError: `answers` of 7 must be text, got the int 3"),
        ('{"text": ["a"]}', "KeyError: 'answer_start'"),
    ],
)  # fmt: skip
def test_an_invalid_question_is_refused_with_its_location(tmp_path, answers, message):
    row = '{"id": 7, "question": "what?", "context": "a b", "answers": ' + answers + "}\n"
    path = write(tmp_path, "a.jsonl", row)
    with pytest.raises(DataError) as caught:
        read_questions(path)
    assert str(caught.value) == f"{path}:1: not a question in the layout of SQuAD: {message}"


def test_documents_in_hidden_folders_are_skipped(tmp_path):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    write(tmp_path, ".ipynb_checkpoints/a.txt", "a copy")
    write(tmp_path, "._a.txt", "metadata")
    write(tmp_path, "a.txt", "one\r\n\r\ntwo\u2028")
    assert read_documents(tmp_path, separator="\n\n") == ["one", "two\u2028"]
    with pytest.raises(DataError, match=r"^`documents` must be texts, got the int 3 at index 1$"):
        read_documents(["a", 3])
