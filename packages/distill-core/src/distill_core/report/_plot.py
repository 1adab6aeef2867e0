"""A plot of runs: a dot for each run, a bar for each mean."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from ._runs import Row
from ._table import metric_name, plus_minus

NAME, TITLE = 30, 70
"""Width in characters of the names of rows and of the title; each has at most two lines."""


def require_matplotlib() -> None:
    """Check that plots can be drawn.

    Raises:
        DataError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        message = "a plot needs matplotlib"
        raise DataError(message, hint="pip install 'distill-core[plot]'")


def plot(path: Path, rows: Sequence[Row], *, title: str, chance_level: float | None = None, measured: str = "") -> None:
    """Draw each run as a dot and each mean as a bar; the extension of `path` sets the format (png, svg, pdf).

    Args:
        path: The file.
        rows: The rows, from top to bottom. A long name is cut in the middle.
        title: Title of the plot.
        chance_level: Value of the metric for a model that has learnt nothing, drawn as a line.
        measured: What the values are; by default the metric on the test split, of the best epoch.

    Raises:
        DataError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.6 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for height, row in enumerate(rows):
        scale = 100 if row.percent else 1
        mean = scale * row.best[0]
        axes.plot([scale * value for value in row.values], [height] * row.seeds, "o", color=f"C{height}", alpha=0.45)
        axes.plot(mean, height, "|", color=f"C{height}", markersize=26, markeredgewidth=2.5)
        text = plus_minus(row.best, percent=row.percent)
        axes.annotate(text, (mean, height), (0, 18), textcoords="offset points", ha="center")
    if chance_level is not None:
        axes.axvline(
            (100 if rows and rows[0].percent else 1) * chance_level, color="gray", linestyle="--", label="chance"
        )
        axes.legend(loc="lower right")
    axes.margins(x=0.12)
    axes.set_yticks(range(len(rows)), [_two_lines(row.name, NAME) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel(f"{measured or f'test {metric_name(rows)}, best epoch'} — dots: runs, bars: means")
    figure.suptitle(_two_lines(title, TITLE), size="large", parse_math=False)
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=150)


def _two_lines(text: str, width: int) -> str:
    r"""Return a text in at most two lines; a longer one without its middle.

    >>> _two_lines("a student of a teacher", 12)
    'a student of\na teacher'
    >>> _two_lines("a student of a large teacher, lr=0.1", 12)
    'a student o…\n…her, lr=0.1'
    """
    lines = textwrap.wrap(text, width)
    if len(lines) > 2:
        whole = " ".join(text.split())
        lines = [f"{whole[: width - 1].rstrip()}…", f"…{whole[1 - width :].lstrip()}"]
    return "\n".join(lines)
