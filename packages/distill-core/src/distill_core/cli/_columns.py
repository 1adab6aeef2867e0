"""Text in columns."""

from __future__ import annotations

from collections.abc import Iterable

Line = tuple[str, ...]


def aligned(lines: Iterable[Line]) -> list[str]:
    """Return lines with their cells padded to columns of equal width, two spaces apart.

    >>> aligned([("a", "bcd"), ("ef", "g")])
    ['a   bcd', 'ef  g']
    """
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
