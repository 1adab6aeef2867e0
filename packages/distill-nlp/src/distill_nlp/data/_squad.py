"""Questions about texts, answered by spans of the text, in the layout of SQuAD.

Pranav Rajpurkar, Jian Zhang, Konstantin Lopyrev, Percy Liang. "SQuAD: 100,000+ Questions for Machine Comprehension of
Text". EMNLP 2016. https://arxiv.org/abs/1606.05250. With questions that have no answer: Pranav Rajpurkar, Robin Jia, Percy
Liang. "Know What You Don't Know: Unanswerable Questions for SQuAD". ACL 2018. https://arxiv.org/abs/1806.03822
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_core.errors import DataError

from .._texts import text_fault
from ..tables import parse_json, read_table, read_text


@dataclass(frozen=True)
class Question:
    """A question about a text.

    Attributes:
        name: Its `id`.
        question: The question.
        context: The text.
        answers: Correct answers, empty if the text has none.
        starts: The first character of each answer in the text.
    """

    name: str
    question: str
    context: str
    answers: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()


def read_questions(file: str | Path) -> list[Question]:
    """Read the questions of SQuAD's JSON, or of a table with `id`, `question`, `context` and `answers`.

    Raises:
        DataError: The file does not exist, has another layout, or an answer is not at its start.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        message = f"{path} does not exist"
        raise DataError(message)
    try:
        questions = list(_nested(path) if path.suffix.lower() == ".json" else _flat(path))
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        message = f"{path} is not in the layout of SQuAD: {type(error).__name__}: {error}"
        raise DataError(message) from error
    for question in questions:
        for answer, start in zip(question.answers, question.starts, strict=True):
            if start < 0 or question.context[start : start + len(answer)] != answer:
                message = f"{path}: the answer '{answer}' to {question.name} is not at character {start}"
                raise DataError(message)
    return questions


def _nested(path: Path) -> Iterator[Question]:
    document = parse_json(read_text(path), path)
    if isinstance(document, list):
        yield from (_question(row, row["context"], row["answers"]) for row in document)
        return
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for row in paragraph["qas"]:
                yield _question(row, paragraph["context"], [] if row.get("is_impossible") else row["answers"])


def _flat(path: Path) -> Iterator[Question]:
    table = read_table(path)
    names = ("id", "question", "context", "answers")
    for row, cells in enumerate(zip(*map(table.column, names), strict=True)):
        fields = dict(zip(names, cells, strict=True))
        answers = fields["answers"]
        try:
            listed = ast.literal_eval(answers) if isinstance(answers, str) else answers  # CSV holds text
            yield _question(fields, fields["context"], listed)
        except (KeyError, TypeError, ValueError, SyntaxError) as error:
            message = f"{table.where(row)}: not a question in the layout of SQuAD: {type(error).__name__}: {error}"
            raise DataError(message) from error


def _question(
    row: Mapping[str, Any], context: str, answers: Sequence[Mapping[str, Any]] | Mapping[str, Any]
) -> Question:
    """Build a question. Its answers are a list of objects in SQuAD's files and an object of lists on the hub."""
    if isinstance(answers, Mapping):
        texts, starts = answers["text"], answers["answer_start"]
    else:
        texts, starts = [answer["text"] for answer in answers], [answer["answer_start"] for answer in answers]
    for field, text in (("question", row["question"]), ("context", context), *(("answers", text) for text in texts)):
        if (fault := text_fault(text)) is not None:
            message = f"`{field}` of {row['id']} must be text, got {fault}"
            raise ValueError(message)
    if len(texts) != len(starts) or any(start != int(start) for start in starts):
        message = f"`answers` of {row['id']} must have an integer start each, got {len(texts)} texts and {starts}"
        raise ValueError(message)
    return Question(str(row["id"]), row["question"], context, tuple(texts), tuple(map(int, starts)))
