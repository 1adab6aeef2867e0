"""`distill sweep`: a grid or random search, ranked by the mean over seeds of a metric on the validation split."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ...errors import DistillError
from .._command import Command
from .._exit import refuse, with_notes
from .._numbers import describe_number
from .._options import PATH, change_option, json_option, trust_option
from .._run_files import RESOLVED, RESULTS, newest_config

if TYPE_CHECKING:
    from ._grid import Sweep

LONGEST_NAME = 120


@click.command(cls=Command)
@click.argument("file", metavar="FILE", type=PATH, help="A sweep or an experiment, a YAML file.")
@click.argument("values", metavar="[KEY=A,B,C]...", nargs=-1, help="Values to try: stages.0.optimizer.lr=0.1,0.2")
@click.option(
    "--output", metavar="DIR", type=PATH, help="Output folder of the runs.", show_default="runs/sweeps/<file>"
)
@click.option(
    "--metric",
    metavar="NAME",
    default="",
    help="Metric that ranks the runs.",
    show_default="the metric of the checkpoint",
)
@click.option(
    "--trials",
    metavar="N",
    type=click.IntRange(min=1),
    help="Random search: try N random combinations of the grid, each with all values of `seed`.",
    show_default="all combinations",
)
@change_option
@trust_option
@json_option
def sweep(
    file: Path,
    values: tuple[str, ...],
    output: Path | None,
    metric: str,
    trials: int | None,
    change: bool,
    trust: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a search over hyperparameters.

    It tries all combinations, or --trials random ones. If `seed` has several values, settings are ranked by the mean over
    seeds. Repeat the command to resume an interrupted search; with a larger --trials it continues.
    """
    run_sweep(file, values, output=output, metric=metric, trials=trials, change=change, trust=trust, as_json=as_json)


def run_sweep(
    file: Path,
    changes: Sequence[str] = (),
    *,
    output: Path | None = None,
    metric: str = "",
    trials: int | None = None,
    change: bool = False,
    trust: Sequence[str] = (),
    as_json: bool = False,
) -> list[dict[str, Any]]:
    """Check every run, start those that are not finished, print and write the table.

    Args:
        file: A sweep or an experiment, see `_grid.py`.
        changes: `key=a,b,c`, and overrides that are the same for all runs.
        output: Folder that holds the output folders of the runs; `runs/sweeps/<name of the file>` by default.
        metric: The metric that ranks the runs; by default that of the file, or the one that selects the checkpoint.
        trials: Number of random combinations to try, each with all seeds; all combinations by default.
        change: Accept changes of unfinished runs that do not affect what was trained so far.
        trust: Packages whose objects the experiment may name besides the trusted ones.
        as_json: Print the content of `sweep.json` instead of the table.

    Returns:
        The content of `sweep.json`: the settings with finished runs, best first.

    Raises:
        ConfigError: A file has problems; nothing was run.
        DistillError: Runs failed; the others are finished.
    """
    from .._load import load_document
    from ._grid import read_sweep
    from ._ranking import ranked

    sweep = read_sweep(file, changes)
    folder = output or Path("runs") / "sweeps" / file.stem
    points = {folder / name_of(point): point for point in sweep.points(trials)}
    for path, point in points.items():
        resolved = load_document(sweep.experiment, _changes(sweep, point), trust).dump()
        old = newest_config(path, RESOLVED)
        if (path / RESULTS).is_file() and old.is_file() and old.read_text(encoding="utf-8") != resolved:
            refuse(f"the run in {path} is of another experiment: {RESOLVED} differs", "choose another --output")
    progress = sys.stderr if as_json else sys.stdout
    failed = [
        path
        for index, path in enumerate(points)
        if not _run_point(sweep, points, path, index, change=change, trust=trust, file=progress)
    ]
    records = ranked(points, metric or sweep.metric)
    _write(folder, records)
    if as_json:
        print(json.dumps(records, indent=1))
    else:
        _print_table(folder, records)
    if failed:
        message = f"{len(failed)} of {len(points)} runs failed: {', '.join(path.name for path in failed)}"
        raise DistillError(message, hint="see log.txt in each folder; the same command runs only these again")
    return records


def name_of(point: dict[str, str]) -> str:
    """Return the name of a run's folder.

    >>> name_of({"stages.0.optimizer.lr": "1.0e-5", "seed": "3"})
    'lr=1.0e-5,seed=3'
    """
    from hashlib import sha256

    parts = [f"{key.rpartition('.')[2]}={value}" for key, value in point.items()]
    name = re.sub(r"[^A-Za-z0-9.,=+_-]+", "_", ",".join(parts))
    plain = name == ",".join(parts) and len({key.rpartition(".")[2] for key in point}) == len(point)
    if plain and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{sha256(json.dumps(point).encode()).hexdigest()[:8]}"


def _changes(sweep: Sweep, point: dict[str, str]) -> list[str]:
    return [*sweep.constant, *(f"{key}={value}" for key, value in point.items())]


def _run_point(
    sweep: Sweep,
    points: dict[Path, dict[str, str]],
    path: Path,
    index: int,
    *,
    change: bool,
    trust: Sequence[str],
    file: TextIO,
) -> bool:
    """Run a point of the grid unless it is finished; return whether it is finished now."""
    title = f"{index + 1}/{len(points)} {path.name}"
    if (path / RESULTS).is_file():
        print(f"{title}: already finished", file=file, flush=True)
        return True
    from ._run import run_experiment

    print(title, file=file, flush=True)
    changes = _changes(sweep, points[path])
    try:
        run_experiment(sweep.experiment, changes, output=path, resume=True, change=change, trust=trust, quiet=True)
    except Exception as error:  # noqa: BLE001  the other runs continue after any error
        print(f"{path.name} failed: {with_notes(str(error), error)}", file=sys.stderr, flush=True)
        return False
    return True


def _write(folder: Path, records: list[dict[str, Any]]) -> None:
    """Write `sweep.json` and `sweep.md` beside the runs."""
    if not records:
        return
    (folder / "sweep.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    heads, *rows = _lines(records)
    lines = [heads, ["---"] * len(heads), *rows]
    (folder / "sweep.md").write_text("".join("| " + " | ".join(line) + " |\n" for line in lines), encoding="utf-8")


def _print_table(folder: Path, records: list[dict[str, Any]]) -> None:
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
