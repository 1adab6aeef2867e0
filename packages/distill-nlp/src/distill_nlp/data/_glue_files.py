"""GLUE's tables in local files of several layouts, or on the hub."""

from __future__ import annotations

from pathlib import Path

from distill_core.errors import DataError, did_you_mean

from ..tables import Table, read_lines, read_table
from ._glue_tasks import GlueTask

SPLITS = {"train": ("train",), "val": ("dev", "val", "validation"), "test": ("test",)}
KINDS = (".tsv", ".csv", ".jsonl", ".json", ".parquet")
MISMATCHED = "_mismatched"


def splits_of(task: GlueTask) -> list[str]:
    """Return the names of a task's splits."""
    if task.name == "ax":
        return ["test"]
    mismatched = [f"{split}{MISMATCHED}" for split in ("val", "test")] if task.name == "mnli" else []
    return [*SPLITS, *mismatched]


def local_table(task: GlueTask, split: str, root: Path) -> Table:
    """Read a task's table from `root/<folder>/<split>.<suffix>`.

    Raises:
        DataError: The split or the file does not exist.
    """
    names = _file_names(task, split)
    folders = [root / task.folder, root / "diagnostic", root] if task.name == "ax" else [root / task.folder]
    candidates = [folder / f"{name}{kind}" for folder in folders for name in names for kind in KINDS]
    candidates += [shard for folder in folders for name in names for shard in sorted(folder.glob(f"{name}-0*.parquet"))]
    path = next((path for path in candidates if path.is_file()), candidates[0])
    has_header = task.headless is None or path.suffix != ".tsv" or "sentence" in _first_line(path)
    return read_table(path, header=None if has_header else task.headless, skip_short=task.name == "qqp")


def hub_table(task: GlueTask, split: str, name: str) -> Table:
    """Load a task's table from a dataset on the hub, or from the cache of an earlier download.

    Raises:
        DataError: The split does not exist, or the dataset is neither cached nor could be downloaded.
    """
    hub_split = _file_names(task, split)[-1]
    import datasets

    try:
        table = datasets.load_dataset(name, task.name, split=hub_split)
    except (OSError, ValueError, RuntimeError) as error:
        message = f"{task.name} of '{name}' is not cached and could not be downloaded"
        file = f"{task.folder}/{_file_names(task, split)[0]}.tsv"
        hint = f"put {file} (or .csv, .jsonl, .parquet) into a folder and give it as `root`"
        raise DataError(message, hint=hint) from error
    return Table(f"{name}, {task.name}, {hub_split}", {column: list(table[column]) for column in table.column_names})


def _file_names(task: GlueTask, split: str) -> list[str]:
    """Return the possible file names of a split. The last one is that of the hub."""
    if split not in splits_of(task):
        message = f"{task.name} has no split '{split}'"
        raise DataError(message, hint=did_you_mean(split, splits_of(task)))
    if task.name == "ax":
        return ["AX", "diagnostic", "test"]
    suffix = MISMATCHED if split.endswith(MISMATCHED) else "_matched"
    stems = SPLITS[split.removesuffix(MISMATCHED)]
    if task.name == "mnli" and split != "train":
        return [f"{stem}{suffix}" for stem in stems]
    return list(stems)


def _first_line(path: Path) -> list[str]:
    if not path.is_file():
        return ["sentence"]
    return next(read_lines(path))[1].split("\t")
