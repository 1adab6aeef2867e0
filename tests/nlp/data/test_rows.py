"""Options of GLUE loaders: hold-out set, limit, corrupted copies, separate texts, several tokenizers."""

from __future__ import annotations

import math
import random

import pytest
import torch

from distill_core.errors import DataError
from distill_nlp.data import glue, num_labels
from distill_nlp.data._corrupted import corrupted
from distill_nlp.tokenizers import wordpiece

WORDS = "the film is a delight from first scene to last".split()


@pytest.fixture
def root(table, tmp_path):
    lines = [f"{' '.join(random.sample(WORDS, 4))} {number}\t{number % 2}" for number in range(20)]
    table("sentence\tlabel\n" + "\n".join(lines) + "\n", "SST-2/train.tsv")
    table("sentence\tlabel\n" + "\n".join(lines[:6]) + "\n", "SST-2/dev.tsv")
    pairs = [f"a girl {'sings ' * number}\ta man\t{number}" for number in range(4)]
    table("sentence1\tsentence2\tscore\n" + "\n".join(pairs) + "\n", "STS-B/train.tsv")
    return tmp_path


@pytest.fixture
def read(root, tokenizer):
    def rows(task="sst2", split="train", **options):
        return glue(task, split, tokenizer=tokenizer, batch_size=64, root=root, shuffle=False, **options)

    return rows


def texts(loader) -> list[tuple[int, ...]]:
    return [tuple(row["input_ids"].tolist()) for row in loader.dataset]


def test_the_hold_out_set_and_the_rest_are_disjoint_and_complete(read):
    kept, held = texts(read(holdout=5)), texts(read(split="held_out", holdout=5))
    assert (len(kept), len(held)) == (15, 5)
    assert sorted(kept + held) == sorted(texts(read()))
    assert len(read(split="val", holdout=5).dataset) == 6


def test_a_smaller_limit_is_a_subset_without_held_out_samples(read):
    few, more = texts(read(holdout=5, limit=4)), texts(read(holdout=5, limit=9))
    assert (len(few), len(more)) == (4, 9)
    assert set(few) <= set(more)
    assert not set(more) & set(texts(read(split="held_out", holdout=5)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": 20}, "`holdout` of 20 leaves no rows for train: the table has 20"),
        ({"split": "held_out"}, "`holdout` of 0 leaves no rows for held_out: the table has 20"),
        ({"limit": 0}, "`limit` must be >= 1, got 0"),
        ({"apart": True}, "`apart` requires two columns of texts, got 1"),
        (
            {"task": "stsb", "apart": True, "tokenizers": {"teacher": wordpiece([])}},
            "`apart` and `tokenizers` cannot be combined\n  hint: omit one of them",
        ),
    ],
)
def test_options_that_leave_no_rows_are_refused(read, options, message):
    with pytest.raises(DataError) as caught:
        read(**options)
    assert str(caught.value) == message


def test_copies_follow_the_texts_and_have_no_class(read):
    plain, copied = read(), read(copies=2)
    (batch,) = copied
    assert batch["target"].tolist() == [*[number % 2 for number in range(20)], *[-100] * 40]
    assert texts(copied)[:20] == texts(plain)
    assert texts(copied) == texts(read(copies=2))
    assert sum(a == b for a, b in zip(texts(copied)[20:40], texts(copied)[40:], strict=True)) < 5
    scores = next(iter(read("stsb", copies=1)))["target"]
    assert scores[:4].tolist() == [0, 1, 2, 3]
    assert all(math.isnan(score) for score in scores[4:])


def test_corruption_uses_words_of_the_texts_with_the_given_probabilities():
    sentences = [" ".join(f"w{random.randrange(500)}" for _ in range(20)) for _ in range(300)]
    copies = corrupted(sentences, seed=1)
    words = {word for sentence in sentences for word in sentence.split()}
    assert {word for copy in copies for word in copy.split()} <= words
    kept = sum(len(copy.split()) for copy in copies) / (300 * 20)
    assert 0.93 < kept < 0.97
    assert corrupted(["one"], seed=0) == ["one"]


def test_each_model_has_the_fields_of_its_tokenizer(read, root):
    other = wordpiece(WORDS * 2)
    (batch,) = read(tokenizers={"teacher": other})
    lines = (root / "SST-2/train.tsv").read_text().splitlines()[1:]
    expected = other([line.split("\t")[0] for line in lines], padding=True, return_tensors="pt")
    assert torch.equal(batch["teacher_input_ids"], expected["input_ids"])
    assert torch.equal(batch["teacher_attention_mask"], expected["attention_mask"])
    assert not torch.equal(batch["input_ids"], batch["teacher_input_ids"])
    example = glue.example_batch("sst2", "train", tokenizer=other, batch_size=2, tokenizers={"teacher": other})
    assert example.keys() == batch.keys()


def test_tokenizers_that_pad_on_different_sides_are_refused(read):
    other = wordpiece(WORDS)
    other.padding_side = "left"
    with pytest.raises(DataError) as caught:
        read(tokenizers={"teacher": other})
    assert str(caught.value) == (
        "the tokenizer 'teacher' pads on the left, the first one on the right\n  hint: set the same padding_side for both"
    )


def test_texts_of_a_pair_are_separate_rows(read, tokenizer):
    loader = read("stsb", apart=True)
    (batch,) = loader
    alone = tokenizer(["a girl sings sings", "a man"], padding=True, return_tensors="pt")["input_ids"]
    assert batch["input_ids"].shape[0] == 8
    assert torch.equal(batch["input_ids"][4:6, : alone.shape[1]], alone)
    assert batch["target"].tolist() == [0, 1, 2, 3]
    assert loader.dataset.lengths.tolist() == [len(row["texts"][0]["input_ids"]) for row in loader.dataset]
    assert num_labels(loader) == 1
    example = glue.example_batch("stsb", "train", tokenizer=tokenizer, batch_size=4, apart=True)
    assert {name: len(value) for name, value in example.items()} == {name: len(value) for name, value in batch.items()}
