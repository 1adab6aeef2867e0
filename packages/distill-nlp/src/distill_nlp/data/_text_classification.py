"""Text classification and regression from local files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ..tables import Table, check_columns, read_table
from ._encoded import EncodedTexts, Tokenizer, find_tokenizer
from ._example import check_of_texts, example_of_texts
from ._grouped import loader_of_texts
from ._labels import class_indices, class_names, labels_in, ones_and_zeros, scores, several_of


def _example(
    file: str | Path,
    tokenizer: str | Tokenizer,
    batch_size: int,
    columns: Sequence[str],
    target: str,
    labels: Sequence[str] | str | None,
    several: bool,
) -> dict[str, Tensor]:
    check_columns(file, [*columns, target])
    return example_of_texts(tokenizer=tokenizer, batch_size=batch_size, labels=labels, several=several)


@with_example(_example, check_of_texts)
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
    """Build a loader of a TSV, CSV, JSON or parquet file with texts and labels.

    Args:
        file: The file.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Number of samples per batch.
        columns: The column of the text, or the two columns of a pair.
        target: The column of the label or score.
        labels: The class names in order, `auto` for those in this file (numbers in numerical order, words sorted), or
            None for scores. `1.0`, ` 1 ` and, with two classes, `True` are read as 1.
        several: A text has any number of labels, separated by commas (GoEmotions) or in a list. `target` is then
            (batch, labels) float32 multi-hot, for `torch.nn.BCEWithLogitsLoss`.
        max_length: Number of tokens to which longer texts are truncated.
        shuffle: Shuffle in each epoch.
        group_by_length: Put texts of similar length into one batch, which reduces padding.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids` and `attention_mask` (batch, longest), any further fields of the tokenizer, and `target`
        (batch,): int64 class indices, or float32 scores.

    Raises:
        DataError: The file or a column does not exist, a cell is not text, or a label is missing or not in `labels`.
    """
    table = read_table(file)
    texts = [table.texts(column) for column in columns]
    classes, targets = _targets(table, target, labels, several=several)
    dataset = EncodedTexts(
        texts, targets, find_tokenizer(tokenizer), max_length, labels=classes, cache=cache,
        columns=[(column,) for column in columns],
    )  # fmt: skip
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
        return classes, class_indices(cells, classes, where)
    if labels is None:
        message = f"{table.source}: texts with several labels cannot have scores"
        raise DataError(message, hint="set `labels`, for example labels: auto")
    lists = several_of(cells, where)
    rows = [row for row, listed in enumerate(lists) for _ in listed]
    flat = [cell for listed in lists for cell in listed]
    classes = labels_in(flat, lambda cell: where(rows[cell])) if labels == "auto" else class_names(labels)
    return classes, ones_and_zeros(lists, classes, where)
