"""GLUE tasks from local files or from the hub.

Alex Wang, Amanpreet Singh, Julian Michael, Felix Hill, Omer Levy, Samuel R. Bowman. "GLUE: A Multi-Task Benchmark and
Analysis Platform for Natural Language Understanding". ICLR 2019. https://openreview.net/forum?id=rJ4km2R5t7
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from .._ignored import IGNORED
from ..tables import Table
from ._corrupted import corrupted
from ._encoded import Tokenizer
from ._example import check_of_texts, example_of_texts
from ._glue_files import hub_table, local_table
from ._glue_tasks import GlueTask, glue_task
from ._grouped import loader_of_texts
from ._labels import are_unlabelled, class_indices, scores
from ._rows import HELD_OUT, chosen_rows
from ._two_tokenizers import encoded


def glue_texts(
    task: str, split: str = "train", *, root: str | Path | None = None, hub: str | None = None
) -> list[list[str]]:
    """Return the one or two text columns of a split, for example to train a tokenizer; see `glue` for the files."""
    known = glue_task(task)
    return _texts(known, _table(known, split, root, hub), split)


def _example(
    task: str,
    split: str,
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    tokenizers: Mapping[str, str | Tokenizer] | None,
    apart: bool,
) -> dict[str, Tensor]:
    batch = example_of_texts(
        tokenizer=tokenizer, batch_size=batch_size, labels=glue_task(task).labels, tokenizers=tokenizers, apart=apart
    )
    if split.startswith("test") and task != "stsb":
        del batch["target"]
    return batch


@with_example(_example, check_of_texts)
def glue(
    task: str,
    split: str,
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    root: str | Path | None = None,
    hub: str | None = None,
    max_length: int = 128,
    holdout: int = 0,
    limit: int | None = None,
    copies: int = 0,
    tokenizers: Mapping[str, str | Tokenizer] | None = None,
    max_lengths: Mapping[str, int] | None = None,
    apart: bool = False,
    shuffle: bool | None = None,
    group_by_length: bool = False,
    num_workers: int = 0,
    cache: str | Path | None = None,
) -> Loader:
    """Build a loader of a GLUE task.

    Local files are those of GLUE's archive, `root/<folder>/{train,dev,test}.tsv` (MNLI: `dev_matched`, …; AX:
    `diagnostic/diagnostic.tsv`), or `.csv`, `.json`, `.jsonl` and `.parquet` files with the file and column names of GLUE
    or the hub. CoLA's files have no header; its columns are built in.

    Args:
        task: `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, `mnli`, `qnli`, `rte`, `wnli` or `ax` (only `test`).
        split: `train`, `val` (GLUE's development set), `test`, or `held_out` (see `holdout`). `mnli` also has
            `val_mismatched` and `test_mismatched`. A test split without labels has no `target`.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Number of samples per batch.
        root: The folder of the tasks. Defaults to `glue` in the folder `DISTILL_DATA`.
        hub: A dataset on the hub to read instead, `nyu-mll/glue`.
        max_length: Number of tokens to which longer texts are truncated.
        holdout: Number of training samples, always the same, that form the split `held_out` for model selection.
        limit: Maximum number of samples, always the same, to simulate scarce labels.
        copies: Number of corrupted copies of each text, appended to the texts. Their class is −100, their score NaN.
        tokenizers: Further tokenizers by name, for other models. The fields of `teacher` are `teacher_input_ids` …
        max_lengths: Further tokenizer → its `max_length`, if that differs.
        apart: Tokenise the texts of a pair separately, as rows 2i and 2i + 1 of `input_ids` (2 · batch, longest).
        shuffle: Shuffle in each epoch. Defaults to True for `train`.
        group_by_length: Put texts of similar length into one batch, which reduces padding.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids` and `attention_mask` (batch, longest), any further fields of the tokenizer, and `target`
        (batch,): int64 class indices, or float32 scores from 0 to 5 for `stsb`.

    Raises:
        DataError: The task, split or file does not exist, the download failed, or `holdout` leaves no samples.
    """
    known = glue_task(task)
    dataset = encoded(
        *_read(known, split, root, hub, holdout, limit, copies), tokenizer, max_length, labels=known.labels,
        tokenizers=tokenizers, max_lengths=max_lengths, apart=apart, cache=cache, columns=known.columns,
    )  # fmt: skip
    shuffle = split == "train" if shuffle is None else shuffle
    return loader_of_texts(dataset, batch_size, shuffle, num_workers, group_by_length)


def _read(
    task: GlueTask, split: str, root: str | Path | None, hub: str | None, holdout: int, limit: int | None, copies: int
) -> tuple[list[list[str]], Sequence[Any] | None]:
    """Return the texts and the targets."""
    table = _table(task, "train" if split == HELD_OUT else split, root, hub)
    table = chosen_rows(table, split, holdout, limit)
    texts, targets = _texts(task, table, split), _targets(task, table, split)
    return _with_copies(texts, targets, copies) if copies else (texts, targets)


def _table(task: GlueTask, split: str, root: str | Path | None, hub: str | None) -> Table:
    if hub is not None:
        return hub_table(task, split, hub)
    default = Path(os.environ.get("DISTILL_DATA", "data")) / "glue"
    return local_table(task, split, Path(root).expanduser() if root is not None else default)


def _texts(task: GlueTask, table: Table, split: str) -> list[list[str]]:
    texts = []
    for names in task.columns:
        name = next((name for name in names if name in table), None)
        if name is None:
            message = f"{task.name}, {split}: there is no column '{names[0]}'"
            raise DataError(message, hint=f"the columns are {', '.join(table)}")
        texts.append(table.texts(name))
    return texts


def _targets(task: GlueTask, table: Table, split: str) -> Sequence[int] | Sequence[float] | None:
    """Return the targets, None for a test split without labels, which the hub writes as −1."""
    name = next((name for name in task.target if name in table), None)
    if split.startswith("test") and (name is None or are_unlabelled(table[name])):
        return None
    if name is None:
        message = f"{task.name}, {split}: there is no column '{task.target[0]}'"
        raise DataError(message, hint=f"the columns are {', '.join(table)}")
    cells = table[name]
    return scores(cells, table.where) if task.labels is None else class_indices(cells, task.labels, table.where)


def _with_copies(
    texts: list[list[str]], targets: Sequence[int] | Sequence[float] | None, copies: int
) -> tuple[list[list[str]], list[Any] | None]:
    """Return the texts followed by their corrupted copies, whose targets are ignored."""
    extended = [
        [*column, *(text for copy in range(copies) for text in corrupted(column, seed=len(texts) * copy + index))]
        for index, column in enumerate(texts)
    ]
    if targets is None:
        return extended, None
    unknown = math.nan if any(isinstance(target, float) for target in targets) else IGNORED
    return extended, [*targets, *[unknown] * (copies * len(targets))]
