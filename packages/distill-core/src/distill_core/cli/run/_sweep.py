"""`distill sweep`: a grid search, ranked by a metric on the validation split."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import DistillError, did_you_mean
from .._command import Command
from .._exit import refuse, with_notes
from .._numbers import describe_number
from .._options import PATH, change_option, trust_option
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
@change_option
@trust_option
def sweep(
    file: Path, values: tuple[str, ...], output: Path | None, metric: str, change: bool, trust: tuple[str, ...]
) -> None:
    """Run a grid search over hyperparameters.

    Repeat the command to resume an interrupted search.
    """
    run_sweep(file, values, output=output, metric=metric, change=change, trust=trust)


def run_sweep(
    file: Path,
    changes: Sequence[str] = (),
    *,
    output: Path | None = None,
    metric: str = "",
    change: bool = False,
    trust: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Check every run, start those that are not finished, print and write the table.

    Args:
        file: A sweep or an experiment, see `_grid.py`.
        changes: `key=a,b,c`, and overrides that are the same for all runs.
        output: Folder that holds the output folders of the runs; `runs/sweeps/<name of the file>` by default.
        metric: The metric that ranks the runs; by default that of the file, or the one that selects the checkpoint.
        change: Accept changes of unfinished runs that do not affect what was trained so far.
        trust: Packages whose objects the experiment may name besides the trusted ones.

    Returns:
        The content of `sweep.json`: the finished runs, best first.

    Raises:
        ConfigError: A file has problems; nothing was run.
        DistillError: Runs failed; the others are finished.
    """
    from .._load import load_document
    from ._grid import read_sweep

    sweep = read_sweep(file, changes)
    folder = output or Path("runs") / "sweeps" / file.stem
    points = {folder / name_of(point): point for point in sweep.points()}
    for path, point in points.items():
        resolved = load_document(sweep.experiment, _changes(sweep, point), trust).dump()
        old = newest_config(path, RESOLVED)
        if (path / RESULTS).is_file() and old.is_file() and old.read_text(encoding="utf-8") != resolved:
            refuse(f"the run in {path} is of another experiment: {RESOLVED} differs", "choose another --output")
    failed = [
        path
        for index, path in enumerate(points)
        if not _run_point(sweep, points, path, index, change=change, trust=trust)
    ]
    records = table_of(points, metric or sweep.metric)
    _write(folder, records, list(sweep.grid))
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
    sweep: Sweep, points: dict[Path, dict[str, str]], path: Path, index: int, *, change: bool, trust: Sequence[str]
) -> bool:
    """Run a point of the grid unless it is finished; return whether it is finished now."""
    title = f"{index + 1}/{len(points)} {path.name}"
    if (path / RESULTS).is_file():
        print(f"{title}: already finished", flush=True)
        return True
    from ._run import run_experiment

    print(title, flush=True)
    changes = _changes(sweep, points[path])
    try:
        run_experiment(sweep.experiment, changes, output=path, resume=True, change=change, trust=trust, quiet=True)
    except Exception as error:  # noqa: BLE001  the other runs continue after any error
        print(f"{path.name} failed: {with_notes(str(error), error)}", file=sys.stderr, flush=True)
        return False
    return True


def table_of(points: dict[Path, dict[str, str]], metric: str = "") -> list[dict[str, Any]]:
    """Return the finished runs, best first.

    Raises:
        ConfigError: No metric ranks the runs, or the validation split lacks it.
    """
    from ...records import read_record

    records = []
    higher_is_better = True
    for path, point in points.items():
        if not (path / RESULTS).is_file():
            continue
        results = read_record(path / RESULTS)
        selection = results.get("selection") or {}
        name = metric or str(selection.get("metric") or "")
        if not name:
            refuse("no metric ranks the runs", "add --metric NAME, or a Checkpoint with `best` to the experiment")
        split = str(selection.get("split") or "val")
        metrics = (results.get("best") or results["last"]).get(split) or {}
        if name not in metrics:
            refuse(f"{path / RESULTS}: there is no metric '{name}' on {split}", did_you_mean(name, metrics))
        if name == selection.get("metric"):
            higher_is_better = selection.get("mode", "max") == "max"
        records.append(
            {
                "values": point,
                "metric": f"{split} {name}",
                "percent": name in results.get("percent", ()),
                "value": metrics[name],
                "folder": path.name,
            }
        )
    sign = -1 if higher_is_better else 1
    return sorted(records, key=lambda record: math.inf if math.isnan(record["value"]) else sign * record["value"])


def _write(folder: Path, records: list[dict[str, Any]], keys: Sequence[str]) -> None:
    """Write `sweep.json` and `sweep.md` beside the runs, and print the table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not records:
        return
    (folder / "sweep.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    heads = [*keys, records[0]["metric"], "folder"]
    rows = [
        [
            *(record["values"][key] for key in keys),
            describe_number(record["value"], percent=record["percent"]),
            record["folder"],
        ]
        for record in records
    ]
    lines = [heads, ["---"] * len(heads), *rows]
    (folder / "sweep.md").write_text("".join("| " + " | ".join(line) + " |\n" for line in lines), encoding="utf-8")
    table = Table(box=box.SIMPLE_HEAD, caption=f"in {folder}")
    for head in heads[:-1]:  # the folder's name is too long
        table.add_column(head)
    for row in rows:
        table.add_row(*row[:-1])
    Console().print(table)
