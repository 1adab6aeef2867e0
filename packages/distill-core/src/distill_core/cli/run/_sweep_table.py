"""The table of a sweep, on the terminal and in `sweep.json` and `sweep.md`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...number_text import describe_number
from ...records import strict_json


def write_table(folder: Path, records: list[dict[str, Any]]) -> None:
    """Write `sweep.json` and `sweep.md` beside the runs."""
    if not records:
        return
    (folder / "sweep.json").write_text(strict_json(records, indent=1) + "\n", encoding="utf-8")
    heads, *rows = _lines(records)
    lines = [heads, ["---"] * len(heads), *rows]
    (folder / "sweep.md").write_text("".join("| " + " | ".join(line) + " |\n" for line in lines), encoding="utf-8")


def print_table(folder: Path, records: list[dict[str, Any]]) -> None:
    """Print the settings, best first."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not records:
        return
    heads, *rows = _lines(records)
    table = Table(box=box.SIMPLE_HEAD, caption=f"in {folder}")
    for head in heads[:-1]:  # the folders' names are too long
        table.add_column(head)
    for row in rows:
        table.add_row(*row[:-1])
    Console().print(table)


def _lines(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return the titles of the columns, then a line for each setting; with several seeds ± is their deviation."""
    rows = [
        [*record["values"].values(), _measured(record), str(len(record["folders"])), ", ".join(record["folders"])]
        for record in records
    ]
    return [[*records[0]["values"], records[0]["metric"], "runs", "folder"], *rows]


def _measured(record: Mapping[str, Any]) -> str:
    value, deviation = (
        None if record[key] is None else describe_number(record[key], percent=record["percent"])
        for key in ("value", "deviation")
    )
    return f"{value or '–'} ± {deviation}" if deviation else value or "–"
