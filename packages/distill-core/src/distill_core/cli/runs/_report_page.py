"""The HTML report of `distill report`: the records of runs, read for the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...report import Row, RunResult
from ...report.html import ReportRun, html_report, write_html
from .._record import read_metrics, read_run
from ._compare import difference_tables

PICTURES = "pictures"
MAX_PICTURES = 8
"""Number of pictures of a run that are shown."""


def write_page(
    output: Path, title: str, folders: Sequence[Path], results: Sequence[RunResult], rows: Sequence[Row]
) -> None:
    """Write the HTML report.

    Args:
        output: The file.
        title: Title of the page.
        folders: The folders of the runs.
        results: The result of each run.
        rows: The rows of the table.

    Raises:
        DataError: A record of a run is damaged.
    """
    names = run_names(folders, results)
    runs = [
        ReportRun(result.title, name, read_metrics(folder), _pictures(folder))
        for folder, name, result in zip(folders, names, results, strict=True)
    ]
    write_html(output, html_report(title, rows, runs, differences=_differences(folders, names)))


def run_names(folders: Sequence[Path], results: Sequence[RunResult]) -> list[str]:
    """Return a name for each run: the title of its row, with the folder if others share it."""
    titles = [result.title for result in results]
    return [
        f"{result.title}, {folder.name}" if titles.count(result.title) > 1 else result.title
        for folder, result in zip(folders, results, strict=True)
    ]


def _pictures(folder: Path) -> list[bytes]:
    files = sorted((folder / PICTURES).glob("*.png"), key=lambda file: (len(file.name), file.name))
    return [file.read_bytes() for file in files[:MAX_PICTURES]]


def _differences(folders: Sequence[Path], names: Sequence[str]) -> list[tuple[str, list[list[str]]]]:
    if len(folders) < 2:
        return []
    tables = difference_tables([read_run(folder) for folder in folders])
    return [(file, [["key", *names], *rows]) for file, (rows, _) in tables.items() if rows]
