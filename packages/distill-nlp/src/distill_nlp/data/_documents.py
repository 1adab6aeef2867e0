"""Documents: texts in local files or in a local data set, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from distill_core.data import derive_seed
from distill_core.errors import DataError, did_you_mean

from ._lines import read_text
from ._read_table import read_table
from ._table import Table, text_fault

Documents = str | Path | Sequence[str]
Split = Literal["train", "val", "test", "all"]
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


def read_documents(
    source: Documents, *, column: str = "text", pattern: str = "**/*.txt", separator: str | None = None
) -> list[str]:
    r"""The texts of a file, of a folder, or of a data set that the library `datasets` saved; none of them empty.

    On the meta device (`distill check --deep`) nothing is read.

    Args:
        source: A text file; a folder of text files, in the order of their paths, without hidden ones; a table (`.csv`,
            `.tsv`, `.json`, `.jsonl`, `.parquet`); a folder that `save_to_disk` wrote; or the texts themselves.
        column: The column of a table or of a data set.
        pattern: Which files of a folder.
        separator: What stands between two documents in a text file; a file is one document if left out. Line ends are
            read as ``\n``.

    Raises:
        DataError: There is no such file or column, no text in it, or a file is not UTF-8.
    """
    if not isinstance(source, str | Path):
        return [text for text in checked_texts(source, "documents") if text.strip()]
    if torch.get_default_device().type == "meta":
        return []
    path = Path(source).expanduser()
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        texts = _saved(path, column)
    elif path.suffix.lower() in TABLES:
        texts = read_table(path).texts(column)
    else:
        files = _visible(path, pattern) if path.is_dir() else [path]
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
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed(seed))).tolist()
    first = {"val": 0, "test": sizes["val"], "train": sizes["val"] + sizes["test"]}[split]
    return sorted(order[first : first + sizes[split]])


def _size(count: int, share: float) -> int:
    return max(1, round(count * share)) if share else 0


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder without hidden ones, `.ipynb_checkpoints/a.txt` or `._a.txt` for example."""
    files = sorted(folder.glob(pattern))
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def _texts(file: Path, separator: str | None) -> list[str]:
    text = read_text(file).replace("\r\n", "\n")
    return [text] if separator is None else text.split(separator)


def checked_texts(texts: Sequence[str], name: str) -> list[str]:
    """Return the texts as a list.

    Raises:
        DataError: One is not text.
    """
    for place, text in enumerate(texts):
        if (fault := text_fault(text)) is not None:
            message = f"`{name}` must be texts, got {fault} at index {place}"
            raise DataError(message)
    return list(texts)


def _saved(path: Path, column: str) -> list[str]:
    import datasets

    saved = datasets.load_from_disk(str(path))
    parts = list(saved.values()) if isinstance(saved, dict) else [saved]
    texts = []
    for part in parts:
        if column not in part.column_names:
            message = f"{path} has no column '{column}'\n  hint: {did_you_mean(column, part.column_names)}"
            raise DataError(message)
        texts += Table(path, {column: list(part[column])}).texts(column)
    return texts
