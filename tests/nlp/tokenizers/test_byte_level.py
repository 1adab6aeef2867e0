"""Byte-level BPE: lossless, and the same texts give the same tokenizer in every process."""

from __future__ import annotations

import torch

from distill_nlp.data import split_documents
from distill_nlp.tokenizers import byte_level, text_byte_level

TEXTS = [f"{a} and {b}, naïve café №{a}" for a in ("one", "two", "three") for b in ("four", "five", "six", "seven")]


def test_every_text_is_decoded_unchanged_without_unknown_tokens():
    bpe = byte_level(TEXTS, vocab_size=300)
    assert len(bpe) <= 300
    for text in [*TEXTS, " leading", "new\nline\t", "日本語 🙂", "\x00"]:
        assert bpe.decode(bpe(text)["input_ids"]) == text
    assert len(bpe(TEXTS[0])["input_ids"]) < len(TEXTS[0].encode())
    assert bpe.eos_token_id == bpe.pad_token_id == 0
    assert bpe("<|endoftext|>")["input_ids"] == [0]


def test_the_same_texts_give_the_same_tokenizer_in_another_process(python):
    code = (
        "import sys, hashlib; from distill_nlp.tokenizers import byte_level;"
        "print(hashlib.sha256(byte_level(sys.argv[1:], vocab_size=300).backend_tokenizer.to_str().encode()).hexdigest())"
    )
    assert len({python(code, *TEXTS).stdout for _ in range(2)}) == 1


def test_it_is_trained_on_the_training_split_and_cached(tmp_path):
    options = {"vocab_size": 300, "val": 0.2, "test": 0.2}
    first = text_byte_level(TEXTS, cache=tmp_path, **options)
    plain = byte_level(split_documents(TEXTS, "train", val=0.2, test=0.2), vocab_size=300)
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    again = text_byte_level(TEXTS, cache=tmp_path, **options)
    assert kept.stat().st_mtime_ns == before
    written = {made.backend_tokenizer.to_str() for made in (first, plain, again)}
    assert len(written) == 1
    assert (again.eos_token, again.pad_token) == ("<|endoftext|>",) * 2
    with torch.device("meta"):
        assert len(text_byte_level("nowhere.txt")) == 257
