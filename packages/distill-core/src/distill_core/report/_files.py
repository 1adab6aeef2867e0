"""The files of a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from ._plot import plot
from ._runs import Row, RunResult, collect, summarise
from ._table import markdown_table, print_table


def write(path: Path, results: Sequence[RunResult], rows: Sequence[Row], *, title: str) -> list[Path]:
    """Write `path`.md (the table), `path`.json (every run) and `path`.png (the plot).

    Args:
        path: Output path without an extension.
        results: The return value of `collect`.
        rows: The return value of `summarise`.
        title: Title of the table and the plot.

    Returns:
        The three files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table, raw, figure = (path.with_name(f"{path.name}.{extension}") for extension in ("md", "json", "png"))
    table.write_text(f"# {title}\n\n{markdown_table(rows)}", encoding="utf-8")
    runs = [{key: None if value != value else value for key, value in asdict(run).items()} for run in results]
    raw.write_text(json.dumps({"title": title, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    plot(figure, rows, title=title)
    return [table, raw, figure]


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
