"""Where GLUE's tasks are: in local files of several layouts, or on the hub."""

from __future__ import annotations

from pathlib import Path

from distill_core.errors import DataError, did_you_mean

from ._glue_tasks import GlueTask
from ._lines import read_lines
from ._read_table import read_table
from ._table import Table

SPLITS = {"train": ("train",), "val": ("dev", "val", "validation"), "test": ("test",)}
KINDS = (".tsv", ".csv", ".jsonl", ".json", ".parquet")
MISMATCHED = "_mismatched"


def splits_of(task: GlueTask) -> list[str]:
    """The names of a task's splits here."""
    if task.name == "ax":
        return ["test"]
    mismatched = [f"{split}{MISMATCHED}" for split in ("val", "test")] if task.name == "mnli" else []
    return [*SPLITS, *mismatched]


def local_table(task: GlueTask, split: str, root: Path) -> Table:
    """A task's table from `root/<folder>/<split>.<kind>`.

    Raises:
        DataError: There is no such split or no such file.
    """
    names = _file_names(task, split)
    folders = [root / task.folder, root / "diagnostic", root] if task.name == "ax" else [root / task.folder]
    candidates = [folder / f"{name}{kind}" for folder in folders for name in names for kind in KINDS]
    candidates += [found for folder in folders for name in names for found in sorted(folder.glob(f"{name}-0*.parquet"))]
    path = next((path for path in candidates if path.is_file()), candidates[0])
    has_header = task.headless is None or path.suffix != ".tsv" or "sentence" in _first_line(path)
    return read_table(path, header=None if has_header else task.headless, skip_short=task.name == "qqp")


def hub_table(task: GlueTask, split: str, name: str) -> Table:
    """A task's table from a data set of parquet files on the hub, or from where it was downloaded to before.

    Raises:
        DataError: There is no such split, or the hub cannot be reached and nothing was downloaded.
    """
    hub_split = _file_names(task, split)[-1]
    import datasets

    try:
        table = datasets.load_dataset(name, task.name, split=hub_split)
    except (OSError, ValueError, RuntimeError) as error:
        message = (
            f"{task.name} of '{name}' is not here and the hub did not give it\n"
            f"  hint: put {task.folder}/{_file_names(task, split)[0]}.tsv (or .csv, .jsonl, .parquet) into a folder and give it as `root`"
        )
        raise DataError(message) from error
    return Table(f"{name}, {task.name}, {hub_split}", {column: list(table[column]) for column in table.column_names})


def _file_names(task: GlueTask, split: str) -> list[str]:
    """What the file of a split may be called; the last name is that of the hub."""
    if split not in splits_of(task):
        message = f"there is no split '{split}' of {task.name}\n  hint: {did_you_mean(split, splits_of(task))}"
        raise DataError(message)
    if task.name == "ax":
        return ["AX", "diagnostic", "test"]
    part = MISMATCHED if split.endswith(MISMATCHED) else "_matched"
    stems = SPLITS[split.removesuffix(MISMATCHED)]
    if task.name == "mnli" and split != "train":
        return [f"{stem}{part}" for stem in stems]
    return list(stems)


def _first_line(path: Path) -> list[str]:
    if not path.is_file():
        return ["sentence"]
    return next(read_lines(path))[1].split("\t")
