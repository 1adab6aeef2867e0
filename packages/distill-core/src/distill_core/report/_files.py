"""The files of a report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..records import strict_json
from ._formats import to_csv, to_latex
from ._plot import plot, require_matplotlib
from ._runs import Row, RunResult, collect, summarise
from ._table import caption, markdown_table, print_table, table


def write(
    path: Path, results: Sequence[RunResult], rows: Sequence[Row], *, title: str, chance_level: float | None = None
) -> list[Path]:
    """Write `path`.md (the table), `path`.json (every run) and, with matplotlib, `path`.png (the plot).

    Without matplotlib a note on standard error says that the plot is omitted.

    Args:
        path: Output path without an extension.
        results: The return value of `collect`.
        rows: The return value of `summarise`.
        title: Title of the table and the plot.
        chance_level: Value of the metric for a model that has learnt nothing, a line in the plot.

    Returns:
        The files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    markdown, raw, figure = (path.with_name(f"{path.name}.{extension}") for extension in ("md", "json", "png"))
    markdown.write_text(f"# {title}\n\n{markdown_table(rows)}", encoding="utf-8")
    raw.write_text(strict_json(as_record(results, title=title), indent=1) + "\n", encoding="utf-8")
    try:
        require_matplotlib()
    except DataError as error:
        print(f"note: {figure} is omitted: {error}", file=sys.stderr)
        return [markdown, raw]
    plot(figure, rows, title=title, chance_level=chance_level)
    return [markdown, raw, figure]


def as_record(results: Sequence[RunResult], *, title: str) -> dict[str, Any]:
    """Return every run as JSON values; `nan` becomes None."""
    runs = [{key: None if value != value else value for key, value in asdict(run).items()} for run in results]
    return {"title": title, "runs": runs}


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write the table of the rows as LaTeX or CSV; the extension of `path`, .tex or .csv, sets the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = table(rows)
    text = to_csv(lines) if path.suffix == ".csv" else to_latex(lines, caption(rows))
    path.write_text(text, encoding="utf-8")


def publish(path: Path, folders: Iterable[Path | str], *, title: str) -> None:
    """Read finished run folders, print their table and write it as files.

    Args:
        path: Output path without an extension.
        folders: Run folders in the order of the rows; unfinished runs are omitted.
        title: Title of the table and the plot.

    Raises:
        DataError: A run has no test metrics.
    """
    results = collect(folders)
    rows = summarise(results)
    print_table(rows, title=title)
    for file in write(path, results, rows, title=title):
        print(file)
