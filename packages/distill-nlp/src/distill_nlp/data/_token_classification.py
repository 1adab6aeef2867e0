"""Token classification: texts whose words have tags, such as named entities or parts of speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from .._ignored import IGNORED
from ..tables import check_columns
from ._collate import PadCollate
from ._encoded import Tokenizer, check_max_length, find_tokenizer, padding_of, side_of
from ._example import check_of_texts, example_tokens
from ._grouped import loader_of_texts
from ._labels import class_indices, class_names, labels_in
from ._readable import check_readable, extents_of
from ._tagged_files import TaggedWords, tagged_words
from ._token_batches import batches_of, flat_tokens


def _example(
    file: str | Path,
    tokenizer: str | Tokenizer,
    batch_size: int,
    words: str,
    tags: str,
    labels: Sequence[str] | Literal["auto"],
) -> dict[str, Tensor]:
    if Path(file).suffix.lower() in (".json", ".jsonl", ".parquet"):
        check_columns(file, [words, tags])
    if Path(file).expanduser().is_file():  # a check works without the data
        _indexed(tagged_words(file, words, tags), labels)
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
    """Build a loader of tagged texts.

    Args:
        file: A CoNLL file, or JSON or parquet with a list of words and a list of tags per text. A CoNLL file has one word
            per line with its tag in the last column, an empty line between texts, and `-DOCSTART-` lines, which are
            skipped. Tabs separate its columns if it has any, otherwise spaces.
        tokenizer: A fast tokenizer of transformers, or its name or folder.
        batch_size: Number of samples per batch.
        labels: The tags in the order of the classes, or `auto` for the sorted tags of this file.
        words: The column of words, in JSON and parquet.
        tags: The column of tags, as text or class indices.
        every_piece: Assign the tag of a word to all its pieces instead of the first one only.
        max_length: Number of tokens to which longer texts are truncated.
        shuffle: Shuffle in each epoch.
        group_by_length: Put texts of similar length into one batch, which reduces padding.
        num_workers: Number of processes that prefetch batches.

    Returns:
        A loader of `input_ids` and `attention_mask` (batch, longest), any further fields of the tokenizer, and `target`
        (batch, longest): class indices, −100 for padding, special tokens and further pieces of a word.

    Raises:
        DataError: The file or a column does not exist, a text does not have one tag per word, or a tag is not in `labels`.
    """
    tagged = tagged_words(file, words, tags)
    classes, targets = _indexed(tagged, labels)
    dataset = TaggedTexts(
        tagged.words, targets, find_tokenizer(tokenizer), max_length, labels=classes, every_piece=every_piece
    )
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, group_by_length=group_by_length
    )


def _indexed(tagged: TaggedWords, labels: Sequence[str] | Literal["auto"]) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return the classes, and the class index of each word."""
    positions = [(row, word) for row, tags in enumerate(tagged.tags) for word in range(len(tags))]
    flat = [tag for tags in tagged.tags for tag in tags]

    def where(cell: int) -> str:
        return tagged.where(*positions[cell])

    classes = labels_in(flat, where) if labels == "auto" else class_names(labels)
    indices = iter(class_indices(flat, classes, where))
    return classes, [list(islice(indices, len(tags))) for tags in tagged.tags]


@final
class TaggedTexts:
    """Texts as words with class indices, tokenised once.

    Args:
        texts: The words of each text.
        targets: A class index for each word.
        tokenizer: A fast tokenizer.
        max_length: Number of tokens to which longer texts are truncated.
        labels: The class names in order.
        every_piece: Assign the class of a word to all its pieces instead of the first one only.

    Attributes:
        tokenizer: The tokenizer.
        lengths: (samples,) int64, number of tokens.
        num_tokens: (samples,) int64, number of tokens with a class.

    Raises:
        DataError: The tokenizer does not map tokens to words.
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
            message = f"{type(tokenizer).__name__} does not map tokens to words"
            raise DataError(message, hint="give a fast tokenizer")
        check_max_length(tokenizer, max_length)
        self.labels, self.tokenizer = tuple(labels), tokenizer
        tokens = dict(flat_tokens(_batches(texts, targets, tokenizer, max_length, every_piece=every_piece)))
        self.lengths = tokens.pop("lengths")
        self.fields = {name: torch.split(flat.long(), self.lengths.tolist()) for name, flat in tokens.items()}
        self.num_tokens = torch.tensor([int((row != IGNORED).sum()) for row in self.fields["target"]])
        padding = padding_of(tokenizer, self.fields) | {"target": IGNORED}
        self.collate = PadCollate(padding, side=side_of(tokenizer))

    def __len__(self) -> int:
        return len(self.lengths)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        check_readable(name, model, inputs, extents_of(self.fields, inputs), self.collate.padding, self.collate.side)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one text without padding."""
        return {name: rows[index] for name, rows in self.fields.items()}


def _batches(
    texts: Sequence[Sequence[str]],
    targets: Sequence[Sequence[int]],
    tokenizer: Tokenizer,
    max_length: int,
    *,
    every_piece: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the fields of the tokenizer and `target`, a list for each text."""
    classes = iter(targets)
    for (batch,) in batches_of([texts]):
        words = [list(text) for text in batch]
        encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length)
        rows = [_aligned(encoded.word_ids(row), next(classes), every_piece=every_piece) for row in range(len(batch))]
        yield {**encoded, "target": rows}


def _aligned(words: Sequence[int | None], classes: Sequence[int], *, every_piece: bool) -> list[int]:
    """Return the class of each token, which is that of its word."""
    before: list[int | None] = [None, *words[:-1]]
    return [
        IGNORED if word is None or (word == last and not every_piece) else classes[word]
        for word, last in zip(words, before, strict=True)
    ]
