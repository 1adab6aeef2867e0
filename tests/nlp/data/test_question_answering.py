"""Question answering: windows cover the text, and answers are found at their position."""

from __future__ import annotations

import json

import pytest
import torch

from distill_core.errors import DataError
from distill_nlp.data import Question, QuestionWindows, question_answering, read_questions
from distill_nlp.metrics import SquadMetric, answer_f1
from distill_nlp.tokenizers import wordpiece

CONTEXT = "The cat sat on the mat. " * 6 + "The old dog lay on the rug. " + "The cat sat on the mat. " * 6
QUESTIONS = [
    Question("a", "Who lay on the rug?", CONTEXT, ("old dog", "dog"), (CONTEXT.index("old"), CONTEXT.index("dog"))),
    Question("b", "Who sat?", "The cat sat on the mat.", ("cat",), (4,)),
    Question("c", "Who barked?", "The cat sat on the mat."),
]


@pytest.fixture
def tokenizer():
    return wordpiece(["who sat lay on the rug barked the old dog cat mat . ?"] * 2, vocab_size=80)


def squad(nothing: bool) -> str:
    def asked(question: Question) -> dict:
        answers = [{"text": t, "answer_start": s} for t, s in zip(question.answers, question.starts, strict=True)]
        return {"id": question.name, "question": question.question, "answers": answers, "is_impossible": not answers}

    paragraphs = [
        {"context": question.context, "qas": [asked(question)]} for question in QUESTIONS[: 3 if nothing else 2]
    ]
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})


def rows() -> str:
    lines = [
        {
            "id": q.name,
            "question": q.question,
            "context": q.context,
            "answers": {"text": q.answers, "answer_start": q.starts},
        }
        for q in QUESTIONS
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_the_layouts_of_squad_and_the_hub_are_equal(table):
    assert read_questions(table(squad(nothing=True), "dev.json")) == QUESTIONS
    assert read_questions(table(rows(), "dev.jsonl")) == QUESTIONS


def test_windows_cover_the_text_and_mark_complete_answers(tokenizer):
    windows = QuestionWindows(QUESTIONS, tokenizer, max_length=40, stride=10)
    first = [number for number in range(len(windows)) if windows[number]["question"] == 0]
    assert len(first) > 2
    covered, found = set(), 0
    for number in first:
        window = windows[number]
        assert len(window["input_ids"]) <= 40
        spans = [tuple(pair) for pair in window["offsets"].tolist() if pair[0] >= 0]
        covered.update(place for begin, end in spans for place in range(begin, end))
        start, end = window["start"], window["end"]
        if start:
            found += 1
            assert CONTEXT[window["offsets"][start][0] : window["offsets"][end][1]] == "old dog"
        else:
            inside = {begin for begin, _ in spans}
            assert not {CONTEXT.index("old"), CONTEXT.index("dog")} <= inside
    assert found >= 1
    assert {place for place, letter in enumerate(CONTEXT) if not letter.isspace()} <= covered
    nothing = next(window for window in map(windows.__getitem__, range(len(windows))) if window["question"] == 2)
    assert (nothing["start"], nothing["end"]) == (0, 0)


def test_a_batch_has_the_fields_of_its_example(table, tokenizer):
    batch = next(iter(question_answering(table(squad(nothing=False), "a.json"), tokenizer=tokenizer, batch_size=2)))
    example = question_answering.example_batch("nowhere.json", tokenizer=tokenizer, batch_size=2)
    assert {name: (value.dim(), value.dtype) for name, value in example.items()} == {
        name: (value.dim(), value.dtype) for name, value in batch.items()
    }
    padding = batch["offsets"][batch["attention_mask"] == 0]
    assert bool((padding == -1).all())


def brute_force(windows, logits, longest, unanswerable):
    """Return each question's best span, by trying all spans."""
    answers = {}
    for question in range(len(windows.questions)):
        tried, nothing = [], []
        for number in range(len(windows)):
            window = windows[number]
            if window["question"] != question:
                continue
            start, end = (side[number] for side in logits)
            nothing.append(start[0] + end[0])
            for i, (begin, _) in enumerate(window["offsets"].tolist()):
                for j in range(i, min(i + longest, len(window["offsets"]))):
                    last = window["offsets"][j][1].item()
                    if begin >= 0 and last >= 0:
                        tried.append((start[i] + end[j], begin, last))
        score, begin, last = max(tried)
        empty = unanswerable and score <= min(nothing)
        answers[question] = "" if empty else windows.questions[question].context[begin:last]
    return answers


@pytest.mark.parametrize("unanswerable", [False, True])
def test_answers_equal_those_of_a_brute_force_search(tokenizer, unanswerable):
    windows = QuestionWindows(QUESTIONS, tokenizer, max_length=40, stride=10)
    logits = [[torch.randn(len(windows[n]["input_ids"])).tolist() for n in range(len(windows))] for _ in range(2)]
    if unanswerable:
        for side in logits:
            side[-1][0] = 9.0  # the last window is that of the last question
    metric = SquadMetric(windows, longest=4, unanswerable=unanswerable)
    for part in torch.arange(len(windows)).split(3):
        batch = windows.collate([windows[n] for n in part.tolist()])
        length = batch["input_ids"].shape[1]
        start, end = (
            torch.tensor([side[n] + [50.0] * (length - len(side[n])) for n in part.tolist()]) for side in logits
        )
        metric.update(start, end, batch["offsets"], batch["question"])
    expected = brute_force(windows, logits, 4, unanswerable)
    assert metric.answers() == expected
    assert expected[2] == "" or not unanswerable
    scores = [max(answer_f1(expected[n], truth) for truth in q.answers or ("",)) for n, q in enumerate(QUESTIONS)]
    assert metric.compute()["f1"] == pytest.approx(sum(scores) / 3)


def test_perfect_logits_have_a_perfect_score(tokenizer):
    windows = QuestionWindows(QUESTIONS, tokenizer, max_length=40, stride=10)
    batch = windows.collate([windows[n] for n in range(len(windows))])
    length = batch["input_ids"].shape[1]
    one_hot = [10 * torch.nn.functional.one_hot(batch[side], length).float() for side in ("start", "end")]
    metric = SquadMetric(windows, unanswerable=True)
    metric.update(*one_hot, batch["offsets"], batch["question"])
    assert metric.compute() == {"exact_match": 1.0, "f1": 1.0}
    metric.reset()
    assert metric.compute()["f1"] != metric.compute()["f1"]  # NaN without questions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            squad(nothing=False).replace('"answer_start": 4', '"answer_start": 5'),
            "{file}: the answer 'cat' to b is not at character 5",
        ),
        ('{"data": [{}]}', "{file} is not in the layout of SQuAD: KeyError: 'paragraphs'"),
    ],
)
def test_an_invalid_file_is_refused(table, text, message):
    file = table(text, "a.json")
    with pytest.raises(DataError) as caught:
        read_questions(file)
    assert str(caught.value) == message.format(file=file)


def test_windows_without_room_are_refused(tokenizer):
    with pytest.raises(
        DataError,
        match=r"^windows of 12 tokens with a stride of 20 leave no room for the text: .*\n  hint: increase max_length or reduce stride$",
    ):
        QuestionWindows(QUESTIONS, tokenizer, max_length=12, stride=20)
