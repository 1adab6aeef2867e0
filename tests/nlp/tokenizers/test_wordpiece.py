from __future__ import annotations

import pytest
import torch

from distill_nlp.data import text_classification
from distill_nlp.tokenizers import glue_wordpiece, wordpiece

TEXTS = ["the unlikely film is a delight", "the plot is unlikely and the jokes are delightful", "Ça va, the film"] * 3


def test_training_texts_are_decoded_unchanged():
    tokenizer = wordpiece(TEXTS)
    numbers = tokenizer("The film is a delight", "the plot")
    assert tokenizer.decode(numbers["input_ids"]) == "[CLS] the film is a delight [SEP] the plot [SEP]"
    assert numbers["token_type_ids"] == [0] * 7 + [1] * 3
    assert tokenizer.pad_token_id == 0
    assert tokenizer.tokenize("lights") == [
        "l",
        "##i",
        "##g",
        "##h",
        "##t",
        "##s",
    ] or "[UNK]" not in tokenizer.tokenize("lights")


def test_the_same_texts_give_the_same_indices():
    """Train twice: the trainer's hash tables have a new seed each time."""
    first, *others = (wordpiece(TEXTS, vocab_size=90).get_vocab() for _ in range(6))
    assert all(other == first for other in others)


def test_the_vocabulary_has_at_most_the_requested_size():
    assert len(wordpiece(TEXTS * 20, vocab_size=70)) == 70


def test_pieces_are_not_special_tokens():
    tokenizer = wordpiece(TEXTS)
    assert "##i" in tokenizer.get_vocab()
    assert tokenizer.tokenize("##i") == [tokenizer.unk_token] * 2 + ["i"]


def test_saved_and_loaded_it_is_the_same(table, tmp_path):
    tokenizer = wordpiece(TEXTS)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    path = table("sentence\tlabel\nthe film\t1\nthe plot is unlikely\t0\n")
    one, two = (
        next(iter(text_classification(path, tokenizer=given, batch_size=2)))
        for given in (tokenizer, str(tmp_path / "tokenizer"))
    )
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_task_trains_on_its_training_texts(table, tmp_path):
    table("sentence1\tsentence2\tlabel\na girl\ther flute\t1\na girl\ther flute\t1\n", "WNLI/train.tsv")
    tokenizer = glue_wordpiece("wnli", root=tmp_path)
    assert tokenizer.tokenize("girl flute") == ["girl", "flute"]


def test_on_the_meta_device_nothing_is_read(tmp_path):
    with torch.device("meta"):
        assert glue_wordpiece("wnli", root=tmp_path / "none").pad_token_id == 0
    with pytest.raises(Exception, match="does not exist"):
        glue_wordpiece("wnli", root=tmp_path / "none")
