"""Prompts with completions: only the completion and the end token are targets, in one vocabulary or two."""

from __future__ import annotations

import json

import datasets
import pytest
import torch

from distill_core.data import Loader
from distill_core.errors import DataError
from distill_nlp.data import completions, language_modelling, read_documents
from distill_nlp.tables import read_rows
from distill_nlp.tokenizers import byte_level

from ..chat_tokenizers import BEGINS, chat_tokenizer, template

ROWS = [{"prompt": f"{a} plus {b} is", "completion": f" {a + b}" * (a + 1)} for a in range(4) for b in range(3)]


@pytest.fixture(scope="module")
def bpe():
    return byte_level([row["prompt"] for row in ROWS] * 2, vocab_size=280)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return path


def loader(file, bpe, **options):
    return completions(file, **{"tokenizer": bpe, "batch_size": 5, "shuffle": False, "max_length": 64} | options)


def test_targets_are_the_tokens_of_the_completion_and_the_end(file, bpe):
    batches = list(loader(file, bpe))
    rows = [row for batch in batches for row in zip(batch["input_ids"], batch["target"], batch["mask"], strict=True)]
    for row, (inputs, target, mask) in zip(ROWS, rows, strict=True):
        asked, answered = bpe(row["prompt"])["input_ids"], bpe(row["completion"])["input_ids"]
        assert target[mask].tolist() == [*answered, bpe.eos_token_id]
        assert inputs[: len(asked) + len(answered)].tolist() == [*asked, *answered]
        assert mask.nonzero()[0].item() == len(asked) - 1
        assert (target[~mask] == -100).all()
    assert loader(file, bpe).dataset.num_tokens.tolist() == [int(mask.sum()) for _, _, mask in rows]


def test_long_prompts_are_truncated_at_the_start_and_completions_at_the_end(file, bpe):
    dataset = loader(file, bpe, max_length=8, max_prompt=3).dataset
    asked, answered = (bpe(ROWS[-1][name])["input_ids"] for name in ("prompt", "completion"))
    whole = [*asked[-3:], *answered][:9]
    assert len(answered) > 6
    assert dataset[len(ROWS) - 1]["input_ids"].tolist() == whole[:8]
    assert dataset[len(ROWS) - 1]["target"].tolist() == [-100, -100, *whole[3:]]


def test_a_begin_token_comes_first_and_an_empty_prompt_is_the_end_token(tmp_path, bpe):
    path = tmp_path / "empty.jsonl"
    path.write_text(json.dumps({"prompt": "", "completion": "one"}))
    answered = bpe("one")["input_ids"]
    sample = loader(path, bpe).dataset[0]
    assert sample["input_ids"].tolist() == [bpe.eos_token_id, *answered]
    assert sample["target"].tolist() == [*answered, bpe.eos_token_id]
    other = byte_level([], vocab_size=257)
    other.bos_token = "A"
    assert loader(path, other).dataset[0]["input_ids"].tolist() == [other.bos_token_id, *other("one")["input_ids"]]


@pytest.mark.parametrize(("adds", "writes"), BEGINS)
@pytest.mark.parametrize("max_prompt", [None, 4])
def test_the_begin_token_is_the_tokenizers_own_and_comes_once(adds, writes, max_prompt):
    tokenizer = chat_tokenizer(adds_begin=adds, chat_template=template(begin=writes))
    chat = [{"role": "user", "content": "the capital of France"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    row = loader([{"prompt": prompt, "completion": "Paris"}], tokenizer, max_prompt=max_prompt).dataset[0]
    given = row["input_ids"][: int((row["target"] != -100).nonzero()[0]) + 1].tolist()
    expected = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    begin = [tokenizer.bos_token_id]
    if max_prompt is not None:
        expected = begin * adds + expected[-max_prompt:]
    elif adds and not writes:
        expected = begin + expected  # as tokenizer(prompt) returns it
        assert expected == tokenizer(prompt)["input_ids"]
    assert given == expected
    assert given.count(tokenizer.bos_token_id) == int(adds or (writes and max_prompt is None))


@pytest.mark.parametrize(("adds", "packed"), [(False, True), (True, True), (True, False)])
def test_documents_begin_as_the_tokenizer_begins_them(adds, packed):
    tokenizer = chat_tokenizer(adds_begin=adds)
    texts = ["the capital of France", "<|begin|>is Paris"]
    dataset = language_modelling(texts, "all", tokenizer=tokenizer, batch_size=1, block=8, packed=packed).dataset
    batch = next(iter(Loader(dataset, 1, collate=None if packed else dataset.collate)))
    assert batch["input_ids"][0].tolist()[:5] == tokenizer(texts[0])["input_ids"][:5]
    if adds and not packed:
        assert dataset[len(dataset) - 1]["input_ids"].tolist().count(tokenizer.bos_token_id) == 1


def test_max_prompt_leaves_room_for_a_completion(file, bpe):
    for length in (8, 9):
        with pytest.raises(DataError) as failure:
            loader(file, bpe, max_length=8, max_prompt=length)
        assert str(failure.value) == (
            f"`max_prompt` must be < `max_length` (8), got {length}\n  hint: leave room for the completions"
        )
        with pytest.raises(DataError, match="must be < `max_length`"):
            completions.example_batch(file, tokenizer=bpe, batch_size=5, max_length=8, max_prompt=length)
    for length in (1, 7):
        assert loader(file, bpe, max_length=8, max_prompt=length).dataset.num_tokens.min() >= 1


def test_samples_without_a_target_are_refused(bpe):
    rows = [{"prompt": "one", "completion": text, "completion_ids": [5], "ended": False} for text in ("two", "", "")]
    with pytest.raises(DataError) as failure:
        loader(rows, bpe)
    assert str(failure.value).startswith("2 of 3 samples have no target that counts; the first is sample 2\n")


MESSAGES = [{"role": "user", "content": "one"}]
NOT_TEXT = {"list": MESSAGES, "numbers": [1, 2], "object": {"a": 1}, "number": 5, "null": None, "true": True}


@pytest.mark.parametrize("cell", NOT_TEXT.values(), ids=NOT_TEXT)
@pytest.mark.parametrize("column", ["prompt", "completion"])
@pytest.mark.parametrize("source", ["jsonl", "json", "parquet", "saved", "dataset", "list"])
def test_a_cell_that_is_not_text_is_refused_with_its_location(tmp_path, bpe, source, column, cell):
    rows = [{"prompt": "a", "completion": "b"} | {column: cell}] * 2
    with pytest.raises(DataError, match=f"`{column}` must be text, got "):
        loader(sourced(rows, source, tmp_path), bpe)
    with pytest.raises(DataError, match=f"`{column}` must be text(s)?, got "):
        read_documents(sourced(rows, source, tmp_path), column=column) if source != "list" else read_rows(rows).texts(
            column
        )


def sourced(rows, source, folder):
    """Return the rows as a file, a folder, a dataset or a list."""
    if source == "list":
        return rows
    path = folder / f"rows.{source}"
    if source in ("jsonl", "json"):
        path.write_text("\n".join(map(json.dumps, rows)) if source == "jsonl" else json.dumps(rows))
        return path
    made = datasets.Dataset.from_list(rows)
    if source == "splits":
        return datasets.DatasetDict({"train": made.select(range(5)), "test": made.select(range(5, len(rows)))})
    if source in ("saved", "saved_splits"):
        sourced(rows, "splits", folder).save_to_disk(path) if source == "saved_splits" else made.save_to_disk(path)
        return path
    if source == "parquet":
        made.to_parquet(path)
    return path if source == "parquet" else made


@pytest.mark.parametrize("source", ["json", "parquet", "saved", "saved_splits", "dataset", "splits", "list"])
def test_every_source_of_rows_gives_the_same_samples(tmp_path, file, bpe, source):
    expected, given = loader(file, bpe).dataset, loader(sourced(ROWS, source, tmp_path), bpe).dataset
    assert [row["input_ids"].tolist() for row in given] == [row["input_ids"].tolist() for row in expected]


def test_sources_that_hold_no_rows_are_refused(tmp_path, bpe):
    streaming = datasets.Dataset.from_list(ROWS).to_iterable_dataset()
    with pytest.raises(DataError) as failure:
        read_rows(streaming)
    assert str(failure.value) == (
        "rows must be a file, a folder of `save_to_disk`, a Dataset or a list of rows, got IterableDataset\n"
        "  hint: set `streaming` of load_dataset to false"
    )
    for rows, text in (([], "the list of rows is empty"), (["a"], "row 1 must be a mapping of columns, got 'a'")):
        with pytest.raises(DataError, match=text):
            loader(rows, bpe)
    with pytest.raises(DataError, match="the list: row 2: the row has no field 'completion'"):
        loader([ROWS[0], {"prompt": "a"}], bpe)


def test_a_limit_spaces_the_rows_evenly(file, bpe):
    some = loader(file, bpe, limit=4).dataset
    expected = [loader(file, bpe).dataset[index]["input_ids"].tolist() for index in (0, 3, 6, 9)]
    assert [row["input_ids"].tolist() for row in some] == expected
    assert len(loader(file, bpe, limit=100).dataset) == len(ROWS)
    with pytest.raises(DataError, match="`limit` must be >= 1, got 0"):
        loader(file, bpe, limit=0)


def test_only_completions_that_ended_teach_an_end_token(bpe):
    end, answer = bpe.eos_token_id, bpe(" plus is")["input_ids"]
    row = {"prompt": "one", "completion": " plus is"}
    rows = [
        row | {"completion_ids": [*answer, end], "ended": True},
        row | {"completion_ids": answer, "ended": False},
    ]
    targets = [sample["target"][sample["target"] != -100].tolist() for sample in loader(rows, bpe).dataset]
    assert targets == [[*answer, end], answer]
    other = byte_level(["plus is"] * 3, vocab_size=262)
    assert other.decode(answer) != " plus is"
    targets = [sample["target"][sample["target"] != -100].tolist() for sample in loader(rows, other).dataset]
    assert targets == [[*other(" plus is")["input_ids"], other.eos_token_id], other(" plus is")["input_ids"]]


def test_written_tokens_are_kept_even_if_their_text_has_other_tokens(bpe):
    letters = [bpe.convert_tokens_to_ids(letter) for letter in "is"]
    assert bpe("is")["input_ids"] != letters
    rows = [{"prompt": "one", "completion": "is", "completion_ids": letters, "ended": False}]
    assert loader(rows, bpe).dataset[0]["target"].tolist()[-2:] == letters


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"completion_ids": "1 2"}, "the list: row 1: `completion_ids` must be a list of tokens, got '1 2'"),
        ({"completion_ids": []}, "`completion_ids` must be a list of tokens, got \\[\\]"),
        ({"completion_ids": [1.5]}, "`completion_ids` must be a list of tokens"),
        ({"completion_ids": [-1]}, "`completion_ids` must be a list of tokens"),
        ({"ended": 1}, "`ended` must be true or false, got 1"),
    ],
)
def test_damaged_columns_of_written_completions_are_refused(bpe, change, text):
    row = {"prompt": "one", "completion": "two", "completion_ids": [5], "ended": True}
    with pytest.raises(DataError, match=text):
        loader([row | change], bpe)


def test_a_teacher_with_another_vocabulary_sees_the_same_texts(file, bpe):
    other = byte_level([], vocab_size=257)
    batch = next(iter(loader(file, bpe, teacher_tokenizer=other)))
    example = completions.example_batch(file, tokenizer=bpe, batch_size=5, teacher_tokenizer=other)
    assert batch.keys() == example.keys()
    for row, target, mask in zip(ROWS, batch["teacher_target"], batch["teacher_mask"], strict=False):
        assert other.decode(target[mask][:-1]) == row["completion"]
    assert batch["input_ids"].shape != batch["teacher_input_ids"].shape


def test_splits_are_disjoint_and_grouping_keeps_all_samples(file, bpe):
    seen = [loader(file, bpe, split=split, val=0.25, test=0.25).dataset for split in ("train", "val", "test")]
    assert [len(part) for part in seen] == [6, 3, 3]
    grouped = loader(file, bpe, group_by_length=True)
    index = torch.cat([batch["index"] for batch in grouped])
    assert sorted(index.tolist()) == list(range(len(ROWS)))
    lengths = grouped.dataset.lengths[index].tolist()
    assert lengths == sorted(lengths, reverse=True)


def test_an_unknown_column_is_refused(file, bpe):
    with pytest.raises(DataError) as failure:
        loader(file, bpe, prompt="prompts")
    assert str(failure.value) == f"{file} has no column 'prompts'\n  hint: did you mean 'prompt'?"
