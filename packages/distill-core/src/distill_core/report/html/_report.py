"""The report of runs as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ... import __version__
from ...records import write_record
from .._formats import Lines
from .._runs import Row
from .._table import caption, table
from ._curves import curves
from ._markup import Html, element, join
from ._page import Section, page
from ._pictures import drawn_pictures
from ._run import ReportRun
from ._tables import copyable, fold


def html_report(
    title: str,
    rows: Sequence[Row],
    runs: Sequence[ReportRun],
    *,
    differences: Sequence[tuple[str, Lines]] = (),
    sections: Sequence[Section] = (),
) -> Html:
    """Return the page of a report.

    Args:
        title: Its title.
        rows: The rows of the table of results.
        runs: The runs whose curves and pictures are drawn.
        differences: Tables of what differs between the runs, each with its caption.
        sections: Further sections, behind the curves.
    """
    shown = [
        Section("Results", copyable(caption(rows), table(rows))),
        Section("Curves", curves(runs)),
        *sections,
        Section("Pictures", drawn_pictures(runs)),
        Section("Differences between the runs", _differences(differences)),
    ]
    return page(title, shown, footer=f"{len(runs)} runs. Written by distill {__version__}.")


def write_html(path: Path, content: Html) -> None:
    """Write a page; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, content)


def _differences(tables: Sequence[tuple[str, Lines]]) -> Html:
    if not tables:
        return Html("")
    parts = [fold(f"{name} ({len(lines) - 1})", copyable(name, lines)) for name, lines in tables]
    return join(element("p", "Keys whose values are not the same in all runs."), *parts)
