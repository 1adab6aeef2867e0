"""Rows of runs as a table: its cells, its caption, and the table on a terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Literal

from ._formats import to_markdown
from ._gap import gaps_closed
from ._runs import Row

WIDE = 1000
"""Width in columns without a terminal, so that each row is one line."""
NAME = 8
"""Smallest width of the first column."""


SPLIT = "Test split: evaluated once, at the end. ±: sample standard deviation over runs with different seeds."


def plus_minus(pair: tuple[float, float], *, percent: bool = False) -> str:
    """Format a mean and a deviation as a cell of a table; numbers of at most 1 have one more digit.

    Args:
        pair: The mean and the deviation.
        percent: Whether they are fractions, printed in percent. A negative mean is not a fraction (COCO's −1 for
            "no objects") and is printed as it is.

    >>> plus_minus((95.123, 0.49)), plus_minus((95.0, math.nan)), plus_minus((math.nan, math.nan))
    ('95.12 ± 0.49', '95.00', '–')
    >>> plus_minus((0.8765, 0.0049))
    '0.876 ± 0.005'
    >>> plus_minus((0.95123, 0.0049), percent=True)
    '95.12 ± 0.49'
    """
    scale = 100 if percent and pair[0] >= 0 else 1
    mean, deviation = (scale * value for value in pair)
    if math.isnan(mean):
        return "–"
    digits = 3 if abs(mean) <= 1 else 2
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")


def metric_name(rows: Sequence[Row]) -> str:
    """Return the name of the metric of the rows, with `(%)` if it is printed in percent."""
    return f"{rows[0].metric} (%)" if rows and rows[0].percent else rows[0].metric if rows else "metric"


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Return the rows as lines of cells, first the titles of the columns.

    The column "gap closed" is there if `gaps_closed` has a value for a row.
    """
    metric = metric_name(rows)
    heads = ["", "parameters", "runs", f"test {metric}, best epoch", f"test {metric}, last epoch", f"val {metric}"]
    lines = [heads, *map(_cells, rows)]
    gaps = gaps_closed(rows)
    if any(math.isfinite(gap) for gap in gaps):
        texts = ["gap closed", *("–" if math.isnan(gap) else f"{gap:.0%}" for gap in gaps)]
        lines = [[*line, text] for line, text in zip(lines, texts, strict=True)]
    return lines


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        f"{row.parameters:,}",
        str(row.seeds),
        *(plus_minus(pair, percent=row.percent) for pair in (row.best, row.last, row.val)),
    ]


def caption(rows: Sequence[Row]) -> str:
    """Return a caption that explains the selection and ±."""
    selections = sorted({row.selection for row in rows if row.selection})
    selection = f"Best epoch: {', '.join(selections)}. " if selections else ""
    gap = " Gap closed: 0% is the student alone, 100% its teacher." if table(rows)[0][-1] == "gap closed" else ""
    return f"{selection}{SPLIT}{gap}"


def markdown_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with its caption."""
    return f"{to_markdown(table(rows))}\n{caption(rows)}\n"


def print_table(rows: Sequence[Row], *, title: str) -> None:
    """Print the rows as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    heads, *lines = table(rows)
    grid = Table(title=title, caption=caption(rows), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column, name in enumerate(heads):
        justify: Literal["left", "right"] = "right" if column else "left"
        grid.add_column(name.replace(", ", "\n"), justify=justify, overflow="fold", min_width=0 if column else NAME)
    for line in lines:
        grid.add_row(*line)
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False).print(grid)
