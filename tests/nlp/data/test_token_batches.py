"""Texts are tokenised in batches of limited size, with the tokens of a single call."""

from __future__ import annotations

import pytest

from distill_nlp.data import EncodedTexts, Question, QuestionWindows, TaggedTexts, _token_batches, tokens_of

from .test_token_cache import Counting, rows

BATCH = 60
TEXTS = [f"a {word} is styling her hair" for word in ("girl", "man", "flute", "mess", "jokes")] + ["a girl"]


class Limited(Counting):
    """A tokenizer that refuses more texts than necessary in one call."""

    is_fast = True

    def __call__(self, *texts, **options):
        columns = [given if isinstance(given, list) else [given] for given in texts]
        joined = [["".join(text) for text in column] for column in columns]
        assert sum(len(text) for column in joined for text in column[:-1]) < BATCH
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


@pytest.mark.parametrize("every_piece", [False, True])
def test_tagged_words_are_those_of_a_single_call(tokenizer, every_piece):
    limited, words = Limited(tokenizer), [text.split() for text in TEXTS]
    classes = [[row + index for index in range(len(text))] for row, text in enumerate(words)]
    tagged = TaggedTexts(words, classes, limited, 8, labels="ab", every_piece=every_piece)
    assert limited.calls > 1
    expected = tokenizer(words, is_split_into_words=True, truncation=True, max_length=8)
    for row, sample in enumerate(tagged[index] for index in range(len(tagged))):
        target, last = [], None
        for word in expected.word_ids(row):
            counts = word is not None and (every_piece or word != last)
            target.append(classes[row][word] if counts else -100)
            last = word
        assert {name: tokens.tolist() for name, tokens in sample.items()} == {
            "target": target, **{name: rows[row] for name, rows in expected.items()}
        }  # fmt: skip
        assert tagged.num_tokens[row] == sum(each != -100 for each in target)


def test_windows_of_questions_are_those_of_a_single_call(tokenizer):
    limited = Limited(tokenizer)
    questions = [
        Question(
            name=str(index), question="who", context=f"{text} " * 3, answers=("hair",), starts=(text.find("hair"),)
        )
        for index, text in enumerate(TEXTS[:-1])
    ]
    windows = QuestionWindows(questions, limited, 16, 4)
    assert limited.calls > 1
    expected = tokenizer(
        ["who"] * len(questions), [each.context for each in questions], truncation="only_second", max_length=16,
        stride=4, return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    found = [windows[index] for index in range(len(windows))]
    assert [each["input_ids"].tolist() for each in found] == expected["input_ids"]
    assert [each["question"] for each in found] == expected["overflow_to_sample_mapping"]
    for index, each in enumerate(found):
        given = [tuple(pair) for pair in each["offsets"].tolist()]
        inside = [kind == 1 for kind in expected.sequence_ids(index)]
        assert given == [
            pair if of_text else (-1, -1)
            for pair, of_text in zip(expected["offset_mapping"][index], inside, strict=True)
        ]
        if each["end"]:
            text = questions[each["question"]].context
            assert text[given[each["start"]][0] : given[each["end"]][1]] == "hair"
    assert any(each["end"] for each in found)
