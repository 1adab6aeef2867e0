"""Text classification and regression from local files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ..tables import Table, check_columns, read_table
from ._encoded import Tokenizer
from ._example import check_of_texts, example_of_texts
from ._grouped import loader_of_texts
from ._labels import class_indices, class_names, labels_in, ones_and_zeros, scores, several_of
from ._rows import HELD_OUT, chosen_rows
from ._two_tokenizers import encoded

Labels = Sequence[str] | Literal["auto"] | None
"""The names of the classes, those in the file, or None for scores."""


def _example(
    file: str | Path,
    tokenizer: str | Tokenizer,
    batch_size: int,
    columns: Sequence[str],
    target: str,
    labels: Labels,
    several: bool,
    tokenizers: Mapping[str, str | Tokenizer] | None,
) -> dict[str, Tensor]:
    check_columns(file, [*columns, target])
    if Path(file).expanduser().is_file():  # a check works without the data
        table = read_table(file)
        _targets(table, target, _labels(table, target, labels, several=several), several=several)
    return example_of_texts(
        tokenizer=tokenizer, batch_size=batch_size, labels=labels, several=several, tokenizers=tokenizers
    )


@with_example(_example, check_of_texts)
def text_classification(
    file: str | Path,
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    columns: Sequence[str] = ("sentence",),
    target: str = "label",
    labels: Labels = ("0", "1"),
    several: bool = False,
    split: Literal["train", "held_out"] = "train",
    holdout: int = 0,
    max_length: int = 128,
    tokenizers: Mapping[str, str | Tokenizer] | None = None,
    max_lengths: Mapping[str, int] | None = None,
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
        split: `train`, the rows of the file without the held-out ones, or `held_out`.
        holdout: Number of rows, always the same, that form the split `held_out` for model selection.
        max_length: Number of tokens to which longer texts are truncated.
        tokenizers: Further tokenizers by name, for other models. The fields of `teacher` are `teacher_input_ids` …
        max_lengths: Further tokenizer → its `max_length`, if that differs.
        shuffle: Shuffle in each epoch.
        group_by_length: Put texts of similar length into one batch, which reduces padding.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids` and `attention_mask` (batch, longest), any further fields of the tokenizer, and `target`
        (batch,): int64 class indices, or float32 scores.

    Raises:
        DataError: The file or a column does not exist, a cell is not text, a label is missing or not in `labels`, or
            `holdout` leaves no rows.
    """
    table, classes = _rows(read_table(file), split, holdout, target, labels, several=several)
    texts = [table.texts(column) for column in columns]
    targets = _targets(table, target, classes, several=several)
    dataset = encoded(
        texts, targets, tokenizer, max_length, labels=classes, tokenizers=tokenizers, max_lengths=max_lengths, cache=cache,
        columns=[(column,) for column in columns],
    )  # fmt: skip
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, group_by_length=group_by_length
    )


def _labels(table: Table, column: str, labels: Labels, *, several: bool) -> Sequence[str] | None:
    """Return the names of the classes, None for scores; those in the file are of all its rows."""
    if labels is None:
        return None
    if labels != "auto":
        return class_names(labels)
    cells, where = table.column(column), table.where
    if not several:
        return labels_in(cells, where)
    rows, flat = _flat(several_of(cells, where))
    return labels_in(flat, lambda cell: where(rows[cell]))


def _flat(lists: Sequence[Sequence[Any]]) -> tuple[list[int], list[Any]]:
    """Return the row and the label of each entry of lists of labels."""
    return [row for row, listed in enumerate(lists) for _ in listed], [cell for listed in lists for cell in listed]


def _rows(
    table: Table, split: str, holdout: int, target: str, labels: Labels, *, several: bool
) -> tuple[Table, Sequence[str] | None]:
    """Return the rows of a split, and the class names of all rows; None for scores."""
    if split not in ("train", HELD_OUT):
        message = f"`split` must be 'train' or '{HELD_OUT}', got {split!r}"
        raise DataError(message, hint="name each file with `file`; `split` is for `holdout`")
    classes = _labels(table, target, labels, several=several)
    return chosen_rows(table, split, holdout), classes


def _targets(table: Table, column: str, classes: Sequence[str] | None, *, several: bool) -> Sequence[Any]:
    """Return the target of each text."""
    cells, where = table.column(column), table.where
    if classes is None and several:
        message = f"{table.source}: texts with several labels cannot have scores"
        raise DataError(message, hint="set `labels`, for example labels: auto")
    if classes is None:
        return scores(cells, where)
    if not several:
        return class_indices(cells, classes, where)
    return ones_and_zeros(several_of(cells, where), classes, where)
