"""Tables of a user's own data: their files, and names that they usually have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

TARGETS = ("label", "labels", "target", "class", "category")
"""Names of a column of labels."""
VAL = ("val", "validation", "valid", "dev")
"""Names of the table of the validation samples."""


def find_table(folder: Path, names: Sequence[str], suffixes: Sequence[str]) -> Path | None:
    """Return the first file of a folder with one of the names and suffixes; None if there is none."""
    files = (folder / f"{name}{suffix}" for name in names for suffix in suffixes)
    return next((file for file in files if file.is_file()), None)
