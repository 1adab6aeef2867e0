"""Questions about texts, answered by a stretch of the text, in the layout of SQuAD.

Pranav Rajpurkar, Jian Zhang, Konstantin Lopyrev, Percy Liang. "SQuAD: 100,000+ Questions for Machine Comprehension of
Text". EMNLP 2016. https://arxiv.org/abs/1606.05250. With questions that have no answer: Pranav Rajpurkar, Robin Jia, Percy
Liang. "Know What You Don't Know: Unanswerable Questions for SQuAD". ACL 2018. https://arxiv.org/abs/1806.03822
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_core.errors import DataError

from ._table import read_table


@dataclass(frozen=True)
class Question:
    """A question about a text.

    Attributes:
        name: Its `id`.
        question: What is asked.
        context: The text.
        answers: Right answers, none if the text does not answer.
        starts: Where in the text each begins, in characters.
    """

    name: str
    question: str
    context: str
    answers: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()


def read_questions(file: str | Path) -> list[Question]:
    """The questions of a file: SQuAD's own JSON, or lines or columns of `id`, `question`, `context` and `answers`.

    Raises:
        DataError: There is no such file, it has another layout, or an answer does not stand where it says.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        message = f"there is no {path}"
        raise DataError(message)
    try:
        questions = list(_nested(path) if path.suffix == ".json" else _flat(path))
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        message = f"{path} is not in the layout of SQuAD: {type(error).__name__}: {error}"
        raise DataError(message) from error
    for question in questions:
        for answer, start in zip(question.answers, question.starts, strict=True):
            if question.context[start : start + len(answer)] != answer:
                message = f"{path}: the answer '{answer}' to {question.name} does not stand at character {start}"
                raise DataError(message)
    return questions


def _nested(path: Path) -> Iterator[Question]:
    document = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(document, list):
        yield from (_question(row, row["context"], row["answers"]) for row in document)
        return
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for row in paragraph["qas"]:
                yield _question(row, paragraph["context"], [] if row.get("is_impossible") else row["answers"])


def _flat(path: Path) -> Iterator[Question]:
    table = read_table(path)
    for number, cell in enumerate(table["answers"]):
        row = {name: cells[number] for name, cells in table.items()}
        yield _question(row, row["context"], ast.literal_eval(cell))


def _question(
    row: Mapping[str, Any], context: str, answers: Sequence[Mapping[str, Any]] | Mapping[str, Any]
) -> Question:
    """One question; its answers are a list of objects in SQuAD's files and an object of lists on the hub."""
    if isinstance(answers, Mapping):
        texts, starts = answers["text"], answers["answer_start"]
    else:
        texts, starts = [answer["text"] for answer in answers], [answer["answer_start"] for answer in answers]
    name, question = str(row["id"]), str(row["question"])
    return Question(name, question, context, tuple(map(str, texts)), tuple(map(int, starts)))
