"""Language modelling: targets are the next tokens, no token is lost, documents are separate."""

from __future__ import annotations

import json

import pytest
import torch

from distill_core.errors import DataError
from distill_nlp.data import PackedTokens, language_modelling, python_docstrings, read_documents, split_documents
from distill_nlp.tokenizers import byte_level

TEXTS = [f"document {word} says {word} twice" for word in "one two three four five six seven eight nine ten".split()]


@pytest.fixture(scope="module")
def bpe():
    return byte_level(TEXTS, vocab_size=300)


def loader(bpe, split="all", **options):
    return language_modelling(
        TEXTS, split, **{"tokenizer": bpe, "batch_size": 3, "block": 7, "shuffle": False} | options
    )


def whole(batches, name):
    return torch.cat([batch[name].flatten() for batch in batches])


def test_blocks_are_the_concatenated_documents_and_targets_the_next_tokens(bpe):
    batches = list(loader(bpe))
    stream = [token for text in TEXTS for token in [*bpe(text)["input_ids"], bpe.eos_token_id]]
    inputs, targets, mask = (whole(batches, name) for name in ("input_ids", "target", "mask"))
    assert inputs.tolist() == stream[: len(inputs)]
    assert len(stream) - 1 - 7 < len(inputs) <= len(stream) - 1
    for place, (target, counts) in enumerate(zip(targets.tolist(), mask.tolist(), strict=True)):
        after_end = stream[place] == bpe.eos_token_id
        assert counts is not after_end
        assert target == (-100 if after_end else stream[place + 1])


def test_num_tokens_is_the_number_of_targets_that_count(bpe):
    data = loader(bpe, batch_size=2, block=9)
    counts = data.dataset.num_tokens
    assert [int(counts[batch["index"]].sum()) for batch in data] == [int(batch["mask"].sum()) for batch in data]
    assert len(set(counts.tolist())) > 1


def test_position_ids_restart_with_each_document_and_separate_the_documents(bpe):
    from distill_nlp.models import tiny_gpt2

    batch = next(iter(loader(bpe, batch_size=100, block=20, positions=True)))
    inputs, places = batch["input_ids"], batch["position_ids"]
    for row, place in zip(inputs.tolist(), places.tolist(), strict=True):
        expected = 0
        for token, here in zip(row, place, strict=True):
            assert here == expected
            expected = 0 if token == bpe.eos_token_id else expected + 1
    model = tiny_gpt2(vocab_size=300, layers=1, width=8, heads=1, max_length=20).eval()
    start = int((inputs[0] == bpe.eos_token_id).nonzero()[0]) + 1
    changed = inputs.clone()
    changed[0, : start - 1] = 5
    for fed, apart in (({"position_ids": places}, True), ({}, False)):
        ours, others = (model(input_ids=ids, **fed).logits[0, start:] for ids in (inputs, changed))
        assert torch.equal(ours, others) is apart


def test_limit_selects_evenly_spaced_blocks(bpe):
    every, few = (whole(loader(bpe, **more), "input_ids").view(-1, 7) for more in ({}, {"limit": 4}))
    assert [row.tolist() for row in few] == [every[number * len(every) // 4].tolist() for number in range(4)]


def test_without_packing_documents_are_split_and_padded_on_the_right(bpe):
    for batch in loader(bpe, packed=False, batch_size=2):
        mask = batch["mask"]
        assert torch.equal(mask.sum(1), mask.long().cumprod(1).sum(1))
        assert torch.equal(mask, batch["target"] != -100)
        assert (batch["input_ids"][~mask] == bpe.pad_token_id).all()
    data = loader(bpe, packed=False).dataset
    tokens = [*bpe(TEXTS[0])["input_ids"], bpe.eos_token_id]
    assert torch.cat([data[0]["input_ids"], data[0]["target"][-1:]]).tolist() == tokens[:8]
    assert sum(data.num_tokens.tolist()) == sum(len(bpe(text)["input_ids"]) for text in TEXTS)


def test_grouped_batches_have_similar_lengths(bpe):
    lengths = [
        batch["mask"].sum(1) for batch in loader(bpe, packed=False, batch_size=2, block=50, group_by_length=True)
    ]
    assert torch.cat(lengths).tolist() == sorted(torch.cat(lengths).tolist(), reverse=True)


def test_splits_are_disjoint_complete_and_determined_by_the_seed():
    def divided(seed):
        return [split_documents(TEXTS, split, val=0.2, test=0.1, seed=seed) for split in ("train", "val", "test")]

    parts = divided(0)
    assert [len(part) for part in parts] == [7, 2, 1]
    assert sorted(text for part in parts for text in part) == sorted(TEXTS)
    assert divided(0) == parts != divided(1)
    assert parts[0] == [text for text in TEXTS if text in parts[0]]


def test_documents_are_read_from_files_folders_tables_and_saved_datasets(tmp_path):
    from datasets import Dataset

    (tmp_path / "texts" / "deep").mkdir(parents=True)
    (tmp_path / "texts" / "b.txt").write_text("second")
    (tmp_path / "texts" / "a.txt").write_text("first")
    (tmp_path / "texts" / "deep" / "c.txt").write_text("third")
    (tmp_path / "texts" / "d.md").write_text("no text")
    assert read_documents(tmp_path / "texts") == ["first", "second", "third"]
    assert read_documents(tmp_path / "texts", pattern="*.md") == ["no text"]
    (tmp_path / "one.txt").write_text("one\n\ntwo\n\n")
    assert read_documents(tmp_path / "one.txt") == ["one\n\ntwo\n\n"]
    assert read_documents(tmp_path / "one.txt", separator="\n\n") == ["one", "two"]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"body": text}) for text in ("x", "", "y")))
    assert read_documents(tmp_path / "rows.jsonl", column="body") == ["x", "y"]
    Dataset.from_dict({"text": ["p", "q"]}).save_to_disk(tmp_path / "saved")
    assert read_documents(tmp_path / "saved") == ["p", "q"]


def test_tokens_are_cached(bpe, tmp_path):
    first = list(loader(bpe, cache=tmp_path))
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    second = list(loader(bpe, cache=tmp_path))
    assert kept.stat().st_mtime_ns == before
    assert all(torch.equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a)


def test_an_example_has_the_fields_of_a_batch(bpe):
    for options in ({}, {"positions": True}, {"packed": False}):
        example = language_modelling.example_batch(
            TEXTS, "all", **{"tokenizer": bpe, "batch_size": 3, "block": 7} | options
        )
        batch = next(iter(loader(bpe, **options)))
        assert {name: value.dtype for name, value in example.items()} == {n: v.dtype for n, v in batch.items()}
        assert all(value.is_meta for value in example.values())


def test_docstrings_of_the_standard_library_are_read_and_cached(tmp_path):
    texts = python_docstrings(cache=tmp_path)
    assert len(texts) > 200
    assert any("new subclass of tuple with named fields." in text for text in texts)
    (kept,) = tmp_path.iterdir()
    kept.write_text(json.dumps(["short", "long" * 100]))
    assert python_docstrings(cache=tmp_path) == ["long" * 100]
    with torch.device("meta"):
        assert python_docstrings() == []


def message_of(action):
    with pytest.raises(DataError) as failure:
        action()
    return str(failure.value)


def test_invalid_options_are_refused(bpe, tmp_path):
    assert (
        message_of(lambda: split_documents(TEXTS, "dev"))
        == "there is no split 'dev'\n  hint: choose from 'all', 'test', 'train', 'val'"
    )
    assert message_of(lambda: split_documents(["one"], "val")) == (
        "1 documents are too few for a split 'val' with val: 0.05 and test: 0.05\n"
        "  hint: change the fractions, or set a `separator` that splits the file into more documents"
    )
    assert message_of(lambda: read_documents(tmp_path / "no.txt")) == (
        f"there is no text at {tmp_path / 'no.txt'}\n"
        "  hint: give a text file, a folder of files '**/*.txt', or a dataset with a column 'text'"
    )
    assert message_of(lambda: loader(bpe, block=10_000)).endswith(
        "tokens, too few for one block of 10000\n  hint: set a smaller `block`"
    )
    (tmp_path / "rows.jsonl").write_text('{"body": "x"}')
    assert message_of(lambda: read_documents(tmp_path / "rows.jsonl")) == (
        f"{tmp_path / 'rows.jsonl'} has no column 'text'\n  hint: choose from 'body'"
    )


def test_a_tokenizer_without_an_end_is_refused(tokenizer):
    message = message_of(lambda: language_modelling(TEXTS, tokenizer=tokenizer, batch_size=1))
    assert message == f"{type(tokenizer).__name__} has no end token\n  hint: set its eos_token"


def test_an_end_token_within_a_document_is_text():
    data = PackedTokens([torch.tensor([4, 0, 5]), torch.tensor([6, 7])], 2, end=0)
    batch = data.batch(torch.arange(3), torch.zeros(3))
    assert batch["input_ids"].tolist() == [[4, 0], [5, 0], [6, 7]]
    assert batch["target"].tolist() == [[0, 5], [0, -100], [7, 0]]
