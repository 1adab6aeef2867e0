"""`distill compare`: differences between runs, and their results side by side."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...number_text import describe_number
from .._command import Command
from .._exit import refuse
from .._options import PATH, json_option
from .._run_files import ENVIRONMENT, RESOLVED

if TYPE_CHECKING:
    from .._record import Run

MISSING = "–"
WIDE = 1000
"""Width in columns of a table that is not printed to a terminal, so that each row is one line."""


@click.command(cls=Command)
@click.argument(
    "runs", metavar="RUN...", type=PATH, nargs=-1, required=True, help="Output folders of two or more runs."
)
@json_option
def compare(runs: tuple[Path, ...], as_json: bool) -> None:
    """Compare settings and results of runs."""
    compare_runs(runs, as_json=as_json)


def compare_runs(folders: Sequence[Path], *, as_json: bool = False) -> None:
    """Print the differences between the configurations and environments of runs, and their results.

    Args:
        folders: Output folders of two or more runs.
        as_json: Print a JSON object.

    Raises:
        ConfigError: There are fewer than two runs, or a folder is not the folder of a run.
    """
    from .._record import read_run

    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        refuse("a comparison requires two or more different runs", "name the folder of each run once")
    runs = [read_run(folder) for folder in folders]
    if as_json:
        print(json.dumps(_to_json(runs), indent=1, ensure_ascii=False))
    else:
        _show(runs)


def differences(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values differ between the tables that are not empty; 1 and 1.0 differ.

    >>> differences([{"seed": 0, "lr": 0.1}, {"seed": 1, "lr": 0.1, "about": "kd"}])
    ['seed', 'about']
    """
    filled = [table for table in tables if table]
    return [
        key for key in _keys(filled) if len({repr(table[key]) if key in table else MISSING for table in filled}) > 1
    ]


def _keys(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return all keys: those of the largest table in its order, then the other keys."""
    return list(dict.fromkeys(key for table in sorted(tables, key=len, reverse=True) for key in table))


def measures(results: Mapping[str, Any]) -> dict[str, str]:
    """Format the numbers of `results.json` under the names that the table shows, the test split first."""
    epochs = {name: results[name] for name in ("best", "last") if results.get(name)}
    splits = {name: None for epoch in epochs.values() for name, value in epoch.items() if isinstance(value, Mapping)}
    numbers: dict[str, str] = {}
    for split in sorted(splits, key=lambda name: name != "test"):
        for metric in dict.fromkeys(metric for epoch in epochs.values() for metric in epoch.get(split) or {}):
            values = {name: (epoch.get(split) or {}).get(metric) for name, epoch in epochs.items()}
            percent = metric in results.get("percent", ())
            numbers |= {
                f"{split} {metric}, {name} epoch": _number(value, percent=percent) for name, value in values.items()
            }
    numbers |= {f"{name} epoch": _number(epoch["epoch"]) for name, epoch in epochs.items()}
    numbers |= {f"parameters of {name}": _number(size) for name, size in (results.get("parameters") or {}).items()}
    return {**numbers, "seconds": _number(results.get("seconds"))}


def difference_tables(runs: Sequence[Run]) -> dict[str, tuple[list[list[str]], int]]:
    """Return for each kind of record the keys that differ, each with the value of each run, and how many runs have it."""
    from .._flatten import to_yaml

    tables = {RESOLVED: [run.config for run in runs], ENVIRONMENT: [run.environment for run in runs]}
    found = {}
    for name, values in tables.items():
        quotes = name == RESOLVED  # a version is a string that looks like a number
        rows = [
            [key, *(to_yaml(table[key], quotes=quotes) if key in table else MISSING for table in values)]
            for key in differences(values)
        ]
        found[name] = (rows, sum(map(bool, values)))
    return found


def _to_json(runs: Sequence[Run]) -> dict[str, Any]:
    def differing(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        named = list(zip(runs, tables, strict=True))
        return {
            key: {str(run.folder): table[key] for run, table in named if key in table} for key in differences(tables)
        }

    return {
        "runs": [
            {"folder": str(run.folder), "finished": run.results is not None, "last": run.last, "results": run.results}
            for run in runs
        ],
        "config": differing([run.config for run in runs]),
        "environment": differing([run.environment for run in runs]),
    }


def _show(runs: Sequence[Run]) -> None:
    """Print a line for each run, then a table for each kind of difference, then the results."""
    for number, run in enumerate(runs, start=1):
        print(f"run {number}: {run.folder}, {run.state()}{'' if run.environment else f', no {ENVIRONMENT}'}")
    tables = difference_tables(runs)
    if same := [name for name, (rows, known) in tables.items() if not rows and known > 1]:
        print(f"no difference in {' and '.join(same)}")
    for name, (rows, _) in tables.items():
        if rows:
            _print_table(name, rows)
    results = [measures(run.results) if run.results else {} for run in runs]
    if measured := _keys(results):
        _print_table("results", [[key, *(result.get(key, MISSING) for result in results)] for key in measured])


def _number(value: float | None, *, percent: bool = False) -> str:
    if value is None:
        return MISSING
    return f"{value:,}" if isinstance(value, int) else describe_number(value, percent=percent)


def _print_table(title: str, rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for head in (title, *(f"run {number}" for number in range(1, len(rows[0])))):
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False).print(table)
