"""`distill sweep`: an experiment once for every combination of values, and which was best on the validation split."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import DistillError, did_you_mean
from ..records import read_record
from ._changed import newest_config
from ._exit import refuse, with_notes
from ._folder import RESOLVED, RESULTS
from ._grid import Sweep, read_sweep
from ._load import load_document
from ._numbers import describe_number

LONGEST_NAME = 120


def run_sweep(
    file: Path,
    changes: Sequence[str] = (),
    *,
    output: Path | None = None,
    metric: str = "",
    change: bool = False,
    trust: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Check every run, make those that are not finished, print and write the table.

    Args:
        file: A sweep or an experiment, see `_grid.py`.
        changes: `key=a,b,c`, and changes that are the same for all runs.
        output: Where the runs go, each into a folder of its own; `runs/sweeps/<name of the file>` if left out.
        metric: The metric that decides; that of the file, or the one that chooses the checkpoint, if left out.
        change: Accept changes of unfinished runs that do not concern what was trained so far.
        trust: Packages whose objects the experiment may name besides the trusted ones.

    Returns:
        What `sweep.json` holds: the finished runs, the best first.

    Raises:
        ConfigError: A file cannot be used; nothing was run.
        DistillError: Runs failed; the others were made.
    """
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
        for number, path in enumerate(points, 1)
        if not _make(sweep, points, path, number, change=change, trust=trust)
    ]
    records = table_of(points, metric or sweep.metric)
    _write(folder, records, list(sweep.grid))
    if failed:
        message = f"{len(failed)} of {len(points)} runs failed: {', '.join(path.name for path in failed)}\n  hint: log.txt in each folder says why; the same command runs only these again"
        raise DistillError(message)
    return records


def name_of(point: dict[str, str]) -> str:
    """The name of a run's folder.

    >>> name_of({"stages.0.optimizer.lr": "1.0e-5", "seed": "3"})
    'lr=1.0e-5,seed=3'
    """
    parts = [f"{key.rpartition('.')[2]}={value}" for key, value in point.items()]
    name = re.sub(r"[^A-Za-z0-9.,=+_-]+", "_", ",".join(parts))
    plain = name == ",".join(parts) and len({key.rpartition(".")[2] for key in point}) == len(point)
    if plain and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{sha256(json.dumps(point).encode()).hexdigest()[:8]}"


def _changes(sweep: Sweep, point: dict[str, str]) -> list[str]:
    return [*sweep.constant, *(f"{key}={value}" for key, value in point.items())]


def _make(
    sweep: Sweep, points: dict[Path, dict[str, str]], path: Path, number: int, *, change: bool, trust: Sequence[str]
) -> bool:
    """Make a run unless it is finished; whether it is now."""
    if (path / RESULTS).is_file():
        print(f"{number}/{len(points)} {path.name}: finished before", flush=True)
        return True
    from ._run import run_experiment

    print(f"{number}/{len(points)} {path.name}", flush=True)
    changes = _changes(sweep, points[path])
    try:
        run_experiment(sweep.experiment, changes, output=path, resume=True, change=change, trust=trust, quiet=True)
    except Exception as error:  # noqa: BLE001  whatever it is, the other runs are made
        print(f"{path.name} failed: {with_notes(str(error), error)}", file=sys.stderr, flush=True)
        return False
    return True


def table_of(points: dict[Path, dict[str, str]], metric: str = "") -> list[dict[str, Any]]:
    """The finished runs, the best first.

    Raises:
        ConfigError: No metric was chosen, or the validation split does not have it.
    """
    records = []
    best_is_most = True
    for path, point in points.items():
        if not (path / RESULTS).is_file():
            continue
        results = read_record(path / RESULTS)
        selection = results.get("selection") or {}
        name = metric or str(selection.get("metric") or "")
        if not name:
            refuse(
                "nothing says which run is the best", "give --metric NAME, or the experiment a Checkpoint with `best`"
            )
        split = str(selection.get("split") or "val")
        measured = (results.get("best") or results["last"]).get(split) or {}
        if name not in measured:
            refuse(f"{path / RESULTS}: there is no metric '{name}' on {split}", did_you_mean(name, measured))
        best_is_most = selection.get("mode", "max") == "max" if name == selection.get("metric") else best_is_most
        records.append(
            {
                "values": point,
                "metric": f"{split} {name}",
                "percent": name in results.get("percent", ()),
                "value": measured[name],
                "folder": path.name,
            }
        )
    sign = -1 if best_is_most else 1
    return sorted(records, key=lambda record: math.inf if math.isnan(record["value"]) else sign * record["value"])


def _write(folder: Path, records: list[dict[str, Any]], keys: Sequence[str]) -> None:
    """`sweep.json` and `sweep.md` beside the runs, and the table on the terminal."""
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
    for head in heads[:-1]:  # a folder's name would not fit
        table.add_column(head)
    for row in rows:
        table.add_row(*row[:-1])
    Console().print(table)
