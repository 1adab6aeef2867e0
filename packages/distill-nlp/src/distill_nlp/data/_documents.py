"""Documents: texts from local files or a saved dataset, and their splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from distill_core.data import derive_seed
from distill_core.errors import DataError, did_you_mean

from .._texts import checked_texts
from ..tables import TABLES, is_dataset, is_saved, read_rows, read_text

Documents = str | Path | Sequence[str] | Any
"""The sources of `read_documents`: a path, a dataset of the library `datasets`, or texts."""
Split = Literal["train", "val", "test", "all"]
Item = TypeVar("Item")


def read_documents(
    source: Documents, *, column: str = "text", pattern: str = "**/*.txt", separator: str | None = None
) -> list[str]:
    r"""Read the non-empty texts of a file, a folder or a dataset that the library `datasets` saved.

    On the meta device (`distill check --deep`) nothing is read.

    Args:
        source: A text file, a folder of text files (sorted by path, without hidden files), a table (`.csv`, `.tsv`,
            `.json`, `.jsonl`, `.parquet`), a folder that `save_to_disk` wrote, a `Dataset` or `DatasetDict` of `datasets`,
            or a sequence of texts.
        column: The column of a table or dataset.
        pattern: A glob for the files of a folder.
        separator: The text between two documents in a text file. None makes each file one document. Line ends are read
            as ``\n``.

    Raises:
        DataError: The file or column does not exist, holds no text, or is not UTF-8.
    """
    if is_dataset(source):
        return [text for text in read_rows(source).texts(column) if text.strip()]
    if not isinstance(source, str | Path):
        return [text for text in checked_texts(source, "documents") if text.strip()]
    if torch.get_default_device().type == "meta":
        return []
    path = Path(source).expanduser()
    if is_saved(path) or path.suffix.lower() in TABLES:
        texts = read_rows(path).texts(column)
    else:
        files = _visible(path, pattern) if path.is_dir() else [path]
        texts = [text for file in files if file.is_file() for text in _texts(file, separator)]
    texts = [text for text in texts if text.strip()]
    if not texts:
        message = f"there is no text at {path}"
        hint = f"give a text file, a folder of files '{pattern}', or a dataset with a column '{column}'"
        raise DataError(message, hint=hint)
    return texts


def split_documents(
    documents: Sequence[str], split: Split, *, val: float = 0.05, test: float = 0.05, seed: int = 0
) -> list[str]:
    """Return the documents of a split, in their original order.

    The split of a document depends on its index and the seed. Fractions are of the number of documents, not of their
    lengths. A split whose fraction is not 0 has at least one document.

    Args:
        documents: All documents.
        split: `train`, `val`, `test`, or `all` for every document.
        val: Fraction of documents in the validation split.
        test: Fraction of documents in the test split.
        seed: Seed of the split.

    >>> [len(split_documents([str(n) for n in range(40)], split)) for split in ("train", "val", "test", "all")]
    [36, 2, 2, 40]

    Raises:
        DataError: The split does not exist, or there are too few documents.
    """
    chosen = [documents[index] for index in split_indices(len(documents), split, val=val, test=test, seed=seed)]
    return chosen if split != "all" else list(documents)


def split_indices(count: int, split: str, *, val: float, test: float, seed: int, limit: int | None = None) -> list[int]:
    """Return the sorted indices of a split, at most `limit`, evenly spaced; see `split_documents`.

    Raises:
        DataError: The split does not exist, or there are too few documents.
    """
    sizes = {"val": _size(count, val), "test": _size(count, test)}
    sizes |= {"train": count - sum(sizes.values()), "all": count}
    if split not in sizes:
        message = f"there is no split '{split}'"
        raise DataError(message, hint=did_you_mean(split, sizes))
    if split == "all":
        return spaced(range(count), limit)
    if sizes["train"] < 1 or sizes[split] < 1:
        message = f"{count} documents are too few for a split '{split}' with val: {val:g} and test: {test:g}"
        hint = "change the fractions, or set a `separator` that splits the file into more documents"
        raise DataError(message, hint=hint)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed(seed))).tolist()
    first = {"val": 0, "test": sizes["val"], "train": sizes["val"] + sizes["test"]}[split]
    return spaced(sorted(order[first : first + sizes[split]]), limit)


def spaced(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Return at most `limit` items, evenly spaced. None keeps all.

    >>> spaced(range(10), 4)
    [0, 2, 5, 7]

    Raises:
        DataError: `limit` is below 1.
    """
    if limit is not None and limit < 1:
        message = f"`limit` must be >= 1, got {limit}"
        raise DataError(message)
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def _size(count: int, fraction: float) -> int:
    return max(1, round(count * fraction)) if fraction else 0


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder without hidden ones such as `.ipynb_checkpoints/a.txt` or `._a.txt`."""
    files = sorted(folder.glob(pattern))
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def _texts(file: Path, separator: str | None) -> list[str]:
    text = read_text(file).replace("\r\n", "\n")
    return [text] if separator is None else text.split(separator)
