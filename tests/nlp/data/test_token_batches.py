"""Texts are tokenised in batches of limited size, with the tokens of a single call."""

from __future__ import annotations

import pytest

from distill_nlp.data import EncodedTexts, _token_batches, tokens_of

from .test_token_cache import Counting, rows

BATCH = 60
TEXTS = [f"a {word} is styling her hair" for word in ("girl", "man", "flute", "mess", "jokes")] + ["a girl"]


class Limited(Counting):
    """A tokenizer that refuses more texts than necessary in one call."""

    def __call__(self, *texts, **options):
        columns = [given if isinstance(given, list) else [given] for given in texts]
        assert sum(len(text) for column in columns for text in column[:-1]) < BATCH
        return super().__call__(*texts, **options)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(_token_batches, "BATCH_CHARACTERS", BATCH)


@pytest.mark.parametrize("texts", [[TEXTS], [TEXTS, TEXTS[::-1]]], ids=["texts", "pairs"])
def test_encoded_texts_are_those_of_a_single_call(tokenizer, texts):
    limited = Limited(tokenizer)
    encoded = EncodedTexts(texts, None, limited, max_length=16)
    assert limited.calls > 1
    expected = tokenizer(*texts, truncation=True, max_length=16)
    assert rows(encoded) == [dict(zip(expected, row, strict=True)) for row in zip(*expected.values(), strict=True)]


def test_tokens_of_running_text_are_those_of_a_single_call(tokenizer):
    limited = Limited(tokenizer)
    expected = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert [row.tolist() for row in tokens_of(TEXTS, limited)] == expected
    assert limited.calls > 1
