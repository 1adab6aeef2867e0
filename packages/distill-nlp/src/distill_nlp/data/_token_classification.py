"""Texts whose words have tags: names, parts of speech."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError, did_you_mean

from ._collate import PadCollate
from ._encoded import Tokenizer, find_tokenizer, padding_of
from ._example import example_tokens
from ._grouped import loader_of_texts
from ._labels import class_numbers, labels_in
from ._table import read_table

IGNORED = -100


def _example(tokenizer: str | Tokenizer, batch_size: int) -> dict[str, Tensor]:
    fields = example_tokens(tokenizer, batch_size)
    index = torch.zeros(batch_size, dtype=torch.long, device="meta")
    return fields | {"target": torch.zeros(batch_size, 8, dtype=torch.long, device="meta"), "index": index}


@with_example(_example)
def token_classification(
    file: str | Path,
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    labels: Sequence[str] | Literal["auto"] = "auto",
    words: str = "tokens",
    tags: str = "ner_tags",
    every_piece: bool = False,
    max_length: int = 128,
    shuffle: bool = False,
    group_by_length: bool = False,
    num_workers: int = 0,
) -> Loader:
    """Batches of tagged texts.

    Args:
        file: Lines of a word and its tag, the last of the columns, with an empty line between texts (CoNLL; a line that
            begins with `-DOCSTART-` is left out); or JSON or parquet with a list of words and a list of tags per text.
        tokenizer: A fast tokenizer of transformers, or its name or folder.
        batch_size: Samples per batch.
        labels: The tags in the order of the classes; `auto`: those that occur in this file, sorted.
        words: The column of words, in JSON and parquet.
        tags: The column of tags, words or class numbers.
        every_piece: All pieces of a word have its tag, instead of the first one alone.
        max_length: Longer texts are cut to this many tokens.
        shuffle: A new order in each epoch.
        group_by_length: Texts of about the same length share a batch, so that little is padding.
        num_workers: Processes that read ahead.

    Returns:
        Batches with `input_ids` and `attention_mask` (batch, longest), whatever else the tokenizer gives, and `target`
        (batch, longest): class numbers, −100 for padding, special tokens and further pieces of a word.

    Raises:
        DataError: There is no such file or column, a text has more or fewer tags than words, or a tag is no label.
    """
    texts, tagged = read_tagged(file, words, tags)
    classes = labels_in([tag for row in tagged for tag in row]) if labels == "auto" else tuple(labels)
    numbers = [class_numbers(row, classes, file) for row in tagged]
    dataset = TaggedTexts(
        texts, numbers, find_tokenizer(tokenizer), max_length, labels=classes, every_piece=every_piece
    )
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, group_by_length=group_by_length
    )


@final
class TaggedTexts:
    """Texts as words with class numbers, tokenised once.

    Args:
        texts: The words of each text.
        targets: A class number for each word.
        tokenizer: Gives the tokens, and which word each belongs to.
        max_length: Longer texts are cut to this many tokens.
        labels: The classes in their order.
        every_piece: All pieces of a word have its class, instead of the first one alone.

    Attributes:
        lengths, num_tokens: (samples,) int64, how many tokens each has.

    Raises:
        DataError: The tokenizer cannot tell which word a token belongs to.
    """

    def __init__(
        self,
        texts: Sequence[Sequence[str]],
        targets: Sequence[Sequence[int]],
        tokenizer: Tokenizer,
        max_length: int = 128,
        *,
        labels: Sequence[str],
        every_piece: bool = False,
    ) -> None:
        if not getattr(tokenizer, "is_fast", False):
            message = (
                f"{type(tokenizer).__name__} does not tell which word a token belongs to\n  hint: give a fast tokenizer"
            )
            raise DataError(message)
        encoded = tokenizer(
            [list(text) for text in texts], is_split_into_words=True, truncation=True, max_length=max_length
        )
        self.labels = tuple(labels)
        self.fields: dict[str, list[Tensor]] = {
            name: [torch.tensor(row) for row in rows] for name, rows in dict(encoded).items()
        }
        self.fields["target"] = [
            torch.tensor(_aligned(encoded.word_ids(number), classes, every_piece=every_piece))
            for number, classes in enumerate(targets)
        ]
        self.lengths = self.num_tokens = torch.tensor([len(row) for row in self.fields["input_ids"]])
        side: Literal["left", "right"] = getattr(tokenizer, "padding_side", "right")
        self.collate = PadCollate(padding_of(tokenizer, self.fields) | {"target": IGNORED}, side=side)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One text, not padded."""
        return {name: rows[index] for name, rows in self.fields.items()}


def _aligned(words: Sequence[int | None], classes: Sequence[int], *, every_piece: bool) -> list[int]:
    """The class of each token, by the word that it belongs to."""
    before: list[int | None] = [None, *words[:-1]]
    return [
        IGNORED if word is None or (word == last and not every_piece) else classes[word]
        for word, last in zip(words, before, strict=True)
    ]


def read_tagged(
    file: str | Path, words: str = "tokens", tags: str = "ner_tags"
) -> tuple[list[list[str]], list[list[str]]]:
    """The words of each text and their tags; `token_classification` tells from what files.

    Raises:
        DataError: The file cannot be read, or a text has more or fewer tags than words.
    """
    path = Path(file).expanduser()
    if path.suffix.lower() in (".json", ".jsonl", ".parquet"):
        table = read_table(path)
        for column in (words, tags):
            if column not in table:
                message = f"{path} has no column '{column}'\n  hint: {did_you_mean(column, table)}"
                raise DataError(message)
        texts, tagged = (
            [[str(part) for part in ast.literal_eval(cell)] for cell in table[name]] for name in (words, tags)
        )
    else:
        texts, tagged = _conll(path)
    for number, (text, row) in enumerate(zip(texts, tagged, strict=True)):
        if len(text) != len(row):
            message = f"{path}: text {number} has {len(text)} words and {len(row)} tags"
            raise DataError(message)
    return texts, tagged


def _conll(path: Path) -> tuple[list[list[str]], list[list[str]]]:
    if not path.is_file():
        message = f"there is no {path}"
        raise DataError(message)
    texts: list[list[str]] = [[]]
    tagged: list[list[str]] = [[]]
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        cells = line.split()
        if not cells or cells[0] == "-DOCSTART-":
            texts.append([])
            tagged.append([])
        elif len(cells) == 1:
            message = f"{path}:{number}: the word '{cells[0]}' has no tag"
            raise DataError(message)
        else:
            texts[-1].append(cells[0])
            tagged[-1].append(cells[-1])
    return [text for text in texts if text], [row for row in tagged if row]
