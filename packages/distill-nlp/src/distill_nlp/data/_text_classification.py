"""Texts with a label or a score in a local file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ._encoded import EncodedTexts, Tokenizer, find_tokenizer
from ._example import check_of_texts, example_of_texts
from ._grouped import loader_of_texts
from ._labels import class_names, class_numbers, labels_in, ones_and_zeros, scores, several_of
from ._read_table import read_table
from ._table import Table


@with_example(example_of_texts, check_of_texts)
def text_classification(
    file: str | Path,
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    columns: Sequence[str] = ("sentence",),
    target: str = "label",
    labels: Sequence[str] | Literal["auto"] | None = ("0", "1"),
    several: bool = False,
    max_length: int = 128,
    shuffle: bool = False,
    group_by_length: bool = False,
    num_workers: int = 0,
    cache: str | Path | None = None,
) -> Loader:
    """Batches of a table with a header: tab-separated values, CSV, JSON or parquet.

    Args:
        file: The file.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Samples per batch.
        columns: The column of the text, or the two columns of a pair.
        target: The column of what is to be predicted.
        labels: The words in that column in the order of the classes; `auto`: those that occur in this file, numbers in
            their order, words sorted; None if it holds scores. `1.0`, ` 1 ` and, of two classes, `True` are read as 1.
        several: A text has any number of labels, between commas (GoEmotions) or in a list: `target` is (batch, labels)
            float32, 1 for those that it has, for `torch.nn.BCEWithLogitsLoss`.
        max_length: Longer texts are cut to this many tokens.
        shuffle: A new order in each epoch.
        group_by_length: Texts of about the same length share a batch, so that little is padding.
        num_workers: Processes that read ahead.
        cache: A folder in which the tokens are kept for the next time.

    Returns:
        Batches with `input_ids` and `attention_mask` (batch, longest), whatever else the tokenizer gives, and `target`
        (batch,): int64 class numbers, or float32 scores.

    Raises:
        DataError: There is no such file or column, a text is not text, or a label is missing or not one of `labels`.
    """
    table = read_table(file)
    texts = [table.texts(column) for column in columns]
    classes, targets = _targets(table, target, labels, several=several)
    dataset = EncodedTexts(texts, targets, find_tokenizer(tokenizer), max_length, labels=classes, cache=cache)
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, group_by_length=group_by_length
    )


def _targets(
    table: Table, column: str, labels: Sequence[str] | Literal["auto"] | None, *, several: bool
) -> tuple[Sequence[str] | None, Sequence[Any]]:
    """Return the classes, and the target of each text."""
    cells, where = table.column(column), table.where
    if not several:
        if labels is None:
            return None, scores(cells, where)
        classes = labels_in(cells, where) if labels == "auto" else class_names(labels)
        return classes, class_numbers(cells, classes, where)
    if labels is None:
        message = f"{table.source}: texts with several labels have no scores\n  hint: give `labels`, or labels: auto"
        raise DataError(message)
    lists = several_of(cells, where)
    rows = [row for row, listed in enumerate(lists) for _ in listed]
    flat = [cell for listed in lists for cell in listed]
    classes = labels_in(flat, lambda cell: where(rows[cell])) if labels == "auto" else class_names(labels)
    return classes, ones_and_zeros(lists, classes, where)
