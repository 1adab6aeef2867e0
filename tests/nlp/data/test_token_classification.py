"""Token classification: tags of words become classes of tokens."""

from __future__ import annotations

import json

import pytest

from distill_core.errors import DataError
from distill_nlp.data import num_labels, read_tagged, token_classification
from distill_nlp.tokenizers import wordpiece

CONLL = (
    "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\nPeter NNP I-NP B-PER\nBlackburn NNP I-NP I-PER\n"
)
TEXTS = [["EU", "rejects"], ["Peter", "Blackburn"]]
TAGS = [["B-ORG", "O"], ["B-PER", "I-PER"]]


@pytest.fixture
def tokenizer():
    return wordpiece(["eu reject s peter black burn"] * 2, vocab_size=60)


def test_words_and_tags_are_read_from_every_layout(table, tmp_path):
    rows = [{"tokens": text, "ner_tags": tags} for text, tags in zip(TEXTS, TAGS, strict=True)]
    table("".join(json.dumps(row) + "\n" for row in rows), "rows.jsonl")
    from pyarrow import Table, parquet

    parquet.write_table(Table.from_pylist(rows), tmp_path / "rows.parquet")
    for file in (table(CONLL, "train.txt"), tmp_path / "rows.jsonl", tmp_path / "rows.parquet"):
        assert read_tagged(file) == (TEXTS, TAGS)


@pytest.mark.parametrize("every_piece", [False, True])
def test_the_first_piece_of_a_word_has_its_tag(table, tokenizer, every_piece):
    loader = token_classification(table(CONLL), tokenizer=tokenizer, batch_size=2, every_piece=every_piece)
    (batch,) = loader
    labels = ["B-ORG", "B-PER", "I-PER", "O"]
    assert loader.dataset.labels == tuple(labels)
    assert num_labels(loader) == 4
    for number, (words, tags) in enumerate(zip(TEXTS, TAGS, strict=True)):
        expected = [-100]
        for word, tag in zip(words, tags, strict=True):
            pieces = len(tokenizer(word, add_special_tokens=False).input_ids)
            assert pieces >= 1
            expected += [labels.index(tag), *[labels.index(tag) if every_piece else -100] * (pieces - 1)]
        expected += [-100] * (batch["target"].shape[1] - len(expected))
        assert batch["target"][number].tolist() == expected
    assert batch["input_ids"].shape == batch["target"].shape
    example = token_classification.example_batch("nowhere.json", tokenizer=tokenizer, batch_size=2)
    assert {name: (value.dim(), value.dtype) for name, value in example.items()} == {
        name: (value.dim(), value.dtype) for name, value in batch.items()
    }


@pytest.mark.parametrize(
    ("text", "name", "options", "message"),
    [
        ("EU\n", "a.txt", {}, "{file}:1: the word 'EU' has no tag"),
        (
            CONLL,
            "a.txt",
            {"labels": ["O", "B-PER", "I-PER"]},
            "{file}:3: the label 'B-ORG' is not one of ['O', 'B-PER', 'I-PER']",
        ),
        ('{"tokens": ["a", "b"], "ner_tags": ["O"]}\n', "a.jsonl", {}, "{file}:1: 2 words, but 1 tags"),
        (
            '{"words": ["a"], "ner_tags": ["O"]}\n',
            "a.jsonl",
            {},
            "{file} has no column 'tokens'\n  hint: choose from 'ner_tags', 'words'",
        ),
    ],
)
@pytest.mark.parametrize("use", [token_classification, token_classification.example_batch])
def test_an_invalid_file_is_refused(table, tokenizer, text, name, options, message, use):
    file = table(text, name)
    with pytest.raises(DataError) as caught:
        use(file, tokenizer=tokenizer, batch_size=2, **options)
    assert str(caught.value) == message.format(file=file)


def test_a_tokenizer_that_cannot_align_is_refused(table):
    class Slow:
        pad_token_id = 0

    with pytest.raises(DataError) as caught:
        token_classification(table(CONLL), tokenizer=Slow(), batch_size=2)
    assert str(caught.value) == ("Slow does not map tokens to words\n  hint: give a fast tokenizer")
