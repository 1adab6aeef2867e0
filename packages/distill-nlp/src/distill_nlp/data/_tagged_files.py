"""Reading of tagged words: CoNLL columns, or lists in JSON and parquet files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_core.errors import DataError

from .._texts import shown, text_fault
from ..tables import read_lines, read_table

_SPACES = re.compile(" +")
_DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True)
class TaggedWords:
    """The words of each text and their tags.

    Attributes:
        words: The words of each text.
        tags: The tag of each word, text in CoNLL files and as in the file otherwise.
        where: Returns the location of a word by the indices of its text and of the word.
    """

    words: list[list[str]]
    tags: list[list[Any]]
    where: Callable[[int, int], str]


def read_tagged(
    file: str | Path, words: str = "tokens", tags: str = "ner_tags"
) -> tuple[list[list[str]], list[list[str]]]:
    """Read the words of each text and their tags; `token_classification` describes the files.

    Raises:
        DataError: The file cannot be read, a word is not text, or a text does not have one tag per word.
    """
    tagged = tagged_words(file, words, tags)
    return tagged.words, [[str(tag) for tag in row] for row in tagged.tags]


def tagged_words(file: str | Path, words: str = "tokens", tags: str = "ner_tags") -> TaggedWords:
    """Read tagged words like `read_tagged`, with the location of each word."""
    path = Path(file).expanduser()
    kind = path.suffix.lower()
    if kind in (".json", ".jsonl", ".parquet"):
        return _lists(path, words, tags)
    if kind == ".csv":
        message = f"{path} must not be CSV"
        raise DataError(message, hint="give columns separated by tabs or spaces, JSON or parquet")
    return _conll(path)


def _lists(path: Path, words: str, tags: str) -> TaggedWords:
    table = read_table(path)
    texts, tagged = table.column(words), table.column(tags)
    for row, (text, labels) in enumerate(zip(texts, tagged, strict=True)):
        for name, cell in ((words, text), (tags, labels)):
            if not isinstance(cell, list):
                message = f"{table.where(row)}: `{name}` must be a list, got {text_fault(cell) or shown(cell)}"
                raise DataError(message)
        for index, word in enumerate(text):
            if (fault := text_fault(word)) is not None:
                message = f"{table.where(row)}: word {index + 1} of `{words}` must be text, got {fault}"
                raise DataError(message)
        if len(text) != len(labels):
            message = f"{table.where(row)}: {len(text)} words, but {len(labels)} tags"
            raise DataError(message)
    return TaggedWords(texts, tagged, lambda row, word: f"{table.where(row)}, word {word + 1}")


def _conll(path: Path) -> TaggedWords:
    """Read lines of a word and its tag. Tabs separate the columns if the file has any, otherwise ASCII spaces."""
    lines = list(read_lines(path))
    has_tabs = any("\t" in line.strip(" \t") for _, line in lines)
    texts: list[list[tuple[str, str, int]]] = [[]]
    width = None
    for number, line in lines:
        if not line.strip(" \t") or line.startswith(_DOCUMENT):
            texts.append([])
            continue
        cells = line.split("\t") if has_tabs else _SPACES.split(line.strip(" "))
        _check_columns(path, number, cells, width)
        width = len(cells)
        texts[-1].append((cells[0], cells[-1].strip(" "), number))
    kept = [text for text in texts if text]
    if not kept:
        message = f"{path} has no tagged words"
        raise DataError(message)
    words, tags = [[word for word, _, _ in text] for text in kept], [[tag for _, tag, _ in text] for text in kept]
    return TaggedWords(words, tags, lambda row, word: f"{path}:{kept[row][word][2]}")


def _check_columns(path: Path, number: int, cells: list[str], width: int | None) -> None:
    """Refuse a line without a word or a tag, or whose number of columns differs from the previous line."""
    message = ""
    if len(cells) == 1 or not cells[-1].strip(" "):
        message = f"the word {shown(cells[0])} has no tag"
    elif not cells[0]:
        message = f"the tag {shown(cells[-1])} has no word"
    elif width is not None and len(cells) != width:
        message = f"expected {width} columns as in the previous lines, got {len(cells)}"
    if message:
        message = f"{path}:{number}: {message}"
        raise DataError(message)
