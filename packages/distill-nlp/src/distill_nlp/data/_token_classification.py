"""Texts whose words have tags: names, parts of speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor, nn

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ._collate import PadCollate
from ._encoded import Tokenizer, check_max_length, find_tokenizer, padding_of
from ._example import check_of_texts, example_tokens
from ._grouped import loader_of_texts
from ._labels import class_names, class_numbers, labels_in
from ._readable import check_readable, extents_of
from ._tagged_files import TaggedWords, tagged_words

IGNORED = -100


def _example(tokenizer: str | Tokenizer, batch_size: int) -> dict[str, Tensor]:
    fields = example_tokens(tokenizer, batch_size)
    index = torch.zeros(batch_size, dtype=torch.long, device="meta")
    return fields | {"target": torch.zeros(batch_size, 8, dtype=torch.long, device="meta"), "index": index}


@with_example(_example, check_of_texts)
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
            begins with `-DOCSTART-` is skipped); or JSON or parquet with a list of words and a list of tags per text.
            Columns are separated by tabs if the file has tabs, otherwise by spaces: only in a file with tabs can a word
            have spaces in it.
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
    tagged = tagged_words(file, words, tags)
    classes, numbers = _numbered(tagged, labels)
    dataset = TaggedTexts(
        tagged.words, numbers, find_tokenizer(tokenizer), max_length, labels=classes, every_piece=every_piece
    )
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, group_by_length=group_by_length
    )


def _numbered(tagged: TaggedWords, labels: Sequence[str] | Literal["auto"]) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return the classes, and the class number of each word."""
    places = [(row, word) for row, tags in enumerate(tagged.tags) for word in range(len(tags))]
    flat = [tag for tags in tagged.tags for tag in tags]

    def where(cell: int) -> str:
        return tagged.where(*places[cell])

    classes = labels_in(flat, where) if labels == "auto" else class_names(labels)
    numbers = iter(class_numbers(flat, classes, where))
    return classes, [list(islice(numbers, len(tags))) for tags in tagged.tags]


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
        lengths: (samples,) int64, how many tokens each has.
        num_tokens: (samples,) int64, how many of them have a class.

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
        check_max_length(tokenizer, max_length)
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
        self.lengths = torch.tensor([len(row) for row in self.fields["input_ids"]])
        self.num_tokens = torch.tensor([int((row != IGNORED).sum()) for row in self.fields["target"]])
        side: Literal["left", "right"] = getattr(tokenizer, "padding_side", "right")
        self.collate = PadCollate(padding_of(tokenizer, self.fields) | {"target": IGNORED}, side=side)

    def __len__(self) -> int:
        return len(self.lengths)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        check_readable(name, model, inputs, extents_of(self.fields, inputs), self.collate.padding, self.collate.side)

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
