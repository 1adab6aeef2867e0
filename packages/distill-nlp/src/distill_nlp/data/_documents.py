"""Documents: texts in local files or in a local data set, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from distill_core.data import mix
from distill_core.errors import DataError, did_you_mean

from ._table import read_table

Documents = str | Path | Sequence[str]
Split = Literal["train", "val", "test", "all"]
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


def read_documents(
    source: Documents, *, column: str = "text", pattern: str = "**/*.txt", separator: str | None = None
) -> list[str]:
    """The texts of a file, of a folder, or of a data set that the library `datasets` saved; none of them empty.

    On the meta device (`distill check --deep`) nothing is read.

    Args:
        source: A text file; a folder of text files, in the order of their paths; a table (`.csv`, `.tsv`, `.json`,
            `.jsonl`, `.parquet`); a folder that `save_to_disk` wrote; or the texts themselves.
        column: The column of a table or of a data set.
        pattern: Which files of a folder.
        separator: What stands between two documents in a text file; a file is one document if left out.

    Raises:
        DataError: There is no such file or column, or no text in it.
    """
    if not isinstance(source, str | Path):
        return [text for text in source if text.strip()]
    if torch.get_default_device().type == "meta":
        return []
    path = Path(source).expanduser()
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        texts = _saved(path, column)
    elif path.suffix.lower() in TABLES:
        texts = _column(read_table(path), column, path)
    else:
        files = sorted(path.glob(pattern)) if path.is_dir() else [path]
        texts = [text for file in files if file.is_file() for text in _texts(file, separator)]
    found = [text for text in texts if text.strip()]
    if not found:
        message = f"there is no text at {path}\n  hint: give a text file, a folder of files '{pattern}', or a data set with a column '{column}'"
        raise DataError(message)
    return found


def split_documents(
    documents: Sequence[str], split: Split, *, val: float = 0.05, test: float = 0.05, seed: int = 0
) -> list[str]:
    """The documents of a split, in their own order.

    Which split a document belongs to follows from its number and the seed; the shares are of documents, not of
    their lengths. A split whose share is not 0 has at least one document.

    Args:
        documents: All of them.
        split: `train`, `val` or `test`; `all` for every document.
        val: The share of the validation split.
        test: The share of the test split.
        seed: Another number, another division.

    >>> [len(split_documents([str(n) for n in range(40)], split)) for split in ("train", "val", "test", "all")]
    [36, 2, 2, 40]

    Raises:
        DataError: There is no such split, or there are too few documents.
    """
    places = [documents[number] for number in split_indices(len(documents), split, val=val, test=test, seed=seed)]
    return places if split != "all" else list(documents)


def split_indices(count: int, split: str, *, val: float, test: float, seed: int) -> list[int]:
    """The numbers of what belongs to a split, ascending; `split_documents` tells how.

    Raises:
        DataError: There is no such split, or there is too little to divide.
    """
    sizes = {"val": _size(count, val), "test": _size(count, test)}
    sizes |= {"train": count - sum(sizes.values()), "all": count}
    if split not in sizes:
        message = f"there is no split '{split}'\n  hint: {did_you_mean(split, sizes)}"
        raise DataError(message)
    if split == "all":
        return list(range(count))
    if sizes["train"] < 1 or sizes[split] < 1:
        message = (
            f"{count} documents give no '{split}' with val: {val:g} and test: {test:g}\n"
            "  hint: other shares, or a `separator` that divides the file into more documents"
        )
        raise DataError(message)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(mix(seed))).tolist()
    first = {"val": 0, "test": sizes["val"], "train": sizes["val"] + sizes["test"]}[split]
    return sorted(order[first : first + sizes[split]])


def _size(count: int, share: float) -> int:
    return max(1, round(count * share)) if share else 0


def _texts(file: Path, separator: str | None) -> list[str]:
    text = file.read_text(encoding="utf-8", errors="replace")
    return [text] if separator is None else text.split(separator)


def _column(table: dict[str, list[str]], column: str, path: Path) -> list[str]:
    if column not in table:
        message = f"{path} has no column '{column}'\n  hint: {did_you_mean(column, table)}"
        raise DataError(message)
    return table[column]


def _saved(path: Path, column: str) -> list[str]:
    import datasets

    saved = datasets.load_from_disk(str(path))
    parts = list(saved.values()) if isinstance(saved, dict) else [saved]
    return [text for part in parts for text in _column({name: part[name] for name in part.column_names}, column, path)]
