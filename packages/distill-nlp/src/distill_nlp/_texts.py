"""Checks that values are text, and their description in errors."""

from __future__ import annotations

from collections.abc import Sequence

from distill_core.errors import DataError


def checked_texts(texts: Sequence[str], name: str) -> list[str]:
    """Return the texts as a list.

    Args:
        texts: The texts.
        name: Their name in errors.

    Raises:
        DataError: A value is not text.
    """
    for index, text in enumerate(texts):
        if (fault := text_fault(text)) is not None:
            message = f"`{name}` must be texts, got {fault} at index {index}"
            raise DataError(message)
    return list(texts)


def text_fault(cell: object) -> str | None:
    """Return a description of a value that is not valid text, None for text.

    >>> text_fault("a"), text_fault(None), text_fault([1, 2])
    (None, 'nothing', 'the list [1, 2]')
    """
    if isinstance(cell, str):
        if cell.isascii():
            return None
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            return f"half a surrogate pair: {cell[error.start]!a}"
        return None
    return "nothing" if cell is None else f"the {type(cell).__name__} {shown(cell)}"


def shown(cell: object) -> str:
    """Return the beginning of a value, for an error."""
    text = repr(cell)
    return text if len(text) <= 60 else text[:57] + "..."
