"""Tasks of GLUE from local files or from the hub.

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

from ._corrupted import corrupted
from ._encoded import Tokenizer
from ._example import check_of_texts, example_of_texts
from ._glue_files import hub_table, local_table
from ._glue_tasks import GlueTask, glue_task
from ._grouped import loader_of_texts
from ._labels import are_unlabelled, class_numbers, scores
from ._rows import HELD_OUT, chosen_rows
from ._table import Table
from ._two_tokenizers import encoded


def glue_texts(
    task: str, split: str = "train", *, root: str | Path | None = None, hub: str | None = None
) -> list[list[str]]:
    """The one or two columns of texts of a split, to train a tokenizer on, say; `glue` tells what is read."""
    found = glue_task(task)
    return _texts(found, _table(found, split, root, hub), split)


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
    apart: bool = False,
    shuffle: bool | None = None,
    group_by_length: bool = False,
    num_workers: int = 0,
    cache: str | Path | None = None,
) -> Loader:
    """Batches of a GLUE task.

    Local files are those of GLUE's own archive, `root/<folder>/{train,dev,test}.tsv` (MNLI: `dev_matched`, …; AX:
    `diagnostic/diagnostic.tsv`), or `.csv`, `.json`, `.jsonl` and `.parquet` with GLUE's or the hub's names for
    files and columns. Where a header is missing (CoLA), the columns are known.

    Args:
        task: `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, `mnli`, `qnli`, `rte`, `wnli`, or `ax` (only `test`).
        split: `train`, `val` (GLUE's development set) or `test`; of `mnli` these are matched, beside `val_mismatched` and
            `test_mismatched`. A test without labels has no `target`. `held_out` is what `holdout` takes from `train`.
        tokenizer: A tokenizer of transformers, or its name or folder.
        batch_size: Samples per batch.
        root: The folder of the tasks; `glue` in the folder that `DISTILL_DATA` names by default.
        hub: Read from this data set of the hub instead, `nyu-mll/glue`.
        max_length: Longer texts are cut to this many tokens.
        holdout: So many samples of `train`, always the same, are `held_out` instead: to choose by.
        limit: Only this many samples, always the same: the case in which labels are scarce.
        copies: So many corrupted copies of each text come after all texts; their class is −100, their score NaN.
        tokenizers: Further ones by name, for other models: the fields of `teacher` are `teacher_input_ids` …
        apart: Each text of a pair is a row: 2i and 2i + 1 of `input_ids` (2 · batch, longest) belong together.
        shuffle: A new order in each epoch; only `train` by default.
        group_by_length: Texts of about the same length share a batch, so that little is padding.
        num_workers: Processes that read ahead.
        cache: A folder in which the tokens are kept for the next time.

    Returns:
        Batches with `input_ids` and `attention_mask` (batch, longest), whatever else the tokenizer gives, and `target`
        (batch,): int64 class numbers, or for `stsb` float32 scores from 0 to 5.

    Raises:
        DataError: There is no such task, split or file, the hub cannot be reached, or `holdout` leaves nothing.
    """
    found = glue_task(task)
    texts, targets = _read(found, split, root, hub, holdout, limit, copies)
    dataset = encoded(
        texts, targets, tokenizer, max_length, labels=found.labels, tokenizers=tokenizers, apart=apart, cache=cache
    )
    shuffled = split == "train" if shuffle is None else shuffle
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffled, num_workers=num_workers, group_by_length=group_by_length
    )


def _read(
    task: GlueTask, split: str, root: str | Path | None, hub: str | None, holdout: int, limit: int | None, copies: int
) -> tuple[list[list[str]], Sequence[Any] | None]:
    """The texts and the targets that were asked for."""
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
            message = f"{task.name}, {split}: no column is called '{names[0]}'; there are {', '.join(table)}"
            raise DataError(message)
        texts.append(table.texts(name))
    return texts


def _targets(task: GlueTask, table: Table, split: str) -> Sequence[int] | Sequence[float] | None:
    """The targets; nothing for a test split without labels, which the hub writes as −1."""
    name = next((name for name in task.target if name in table), None)
    if split.startswith("test") and (name is None or are_unlabelled(table[name])):
        return None
    if name is None:
        message = f"{task.name}, {split}: no column is called '{task.target[0]}'; there are {', '.join(table)}"
        raise DataError(message)
    cells = table[name]
    return scores(cells, table.where) if task.labels is None else class_numbers(cells, task.labels, table.where)


def _with_copies(
    texts: list[list[str]], targets: Sequence[int] | Sequence[float] | None, copies: int
) -> tuple[list[list[str]], list[Any] | None]:
    """The texts and then their corrupted copies, whose targets say nothing."""
    more = [
        [*column, *(text for copy in range(copies) for text in corrupted(column, seed=len(texts) * copy + place))]
        for place, column in enumerate(texts)
    ]
    if targets is None:
        return more, None
    unknown = math.nan if any(isinstance(target, float) for target in targets) else -100
    return more, [*targets, *[unknown] * (copies * len(targets))]
