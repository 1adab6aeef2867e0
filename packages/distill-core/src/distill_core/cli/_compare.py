"""`distill compare`: what differs between runs, and their results side by side. Nothing that they name is built or imported."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import read
from ._exit import refuse
from ._folder import ENVIRONMENT, METRICS, RESOLVED, RESULTS
from ._leaves import leaves, shown
from ._numbers import describe_number

MISSING = "–"
WIDE = 1000  # columns where nobody looks: a line of a table is a line of the file


@dataclass(frozen=True)
class Run:
    """What the folder of a run tells.

    Attributes:
        folder: The folder.
        config: Key → value of `config.resolved.yaml`.
        environment: Key → value of `environment.json`; empty where it is not there.
        results: What `results.json` holds; None for an unfinished run.
        last: The last line of `metrics.jsonl`; None where there is none yet.
    """

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    results: Mapping[str, Any] | None
    last: Mapping[str, Any] | None

    def state(self) -> str:
        """`finished`, or how far it is."""
        if self.results is not None:
            return "finished"
        if self.last is None:
            return "not finished: nothing is logged yet"
        stage = int(self.last["stage"])
        keys = [f"stages.{number}.epochs" for number in range(stage, -1, -1)]  # what a stage leaves out, it inherits
        epochs = next((f" of {self.config[key]}" for key in keys if key in self.config), "")
        return f"not finished: stage {stage + 1}, epoch {self.last['epoch']}{epochs}, step {self.last['step']}"


def compare_runs(folders: Sequence[Path], *, as_json: bool = False) -> None:
    """Print what differs between the files and the environments of runs, and what they measured.

    Args:
        folders: The folders of two runs or more.
        as_json: An object, for programs.

    Raises:
        ConfigError: There are not two runs, or one of them is no folder of a run.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        refuse("there are no two runs to compare", "name the folders of two or more runs, each once")
    runs = [read_run(folder) for folder in folders]
    if as_json:
        print(json.dumps(_record(runs), indent=1, ensure_ascii=False))
    else:
        _show(runs)


def read_run(folder: Path) -> Run:
    """Read the folder of a run.

    Raises:
        ConfigError: It is none.
    """
    if not (folder / RESOLVED).is_file():
        refuse(f"{folder} is not the folder of a run: it has no {RESOLVED}")
    config = leaves(read(folder / RESOLVED).root)
    environment, results = (_read(folder / name) for name in (ENVIRONMENT, RESULTS))
    return Run(folder, config, dict(_flat(environment or {})), results, _last(folder / METRICS))


def _read(file: Path) -> dict[str, Any] | None:
    content: dict[str, Any] | None = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    return content


def _last(file: Path) -> dict[str, Any] | None:
    """The last whole line: a run may be writing one just now."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)[-2:] if file.is_file() else []
    whole = [line for line in lines if line.endswith("\n")]
    return json.loads(whole[-1]) if whole else None


def _flat(values: Mapping[str, Any], key: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{key}.{name}" if key else name
        if isinstance(value, Mapping):
            yield from _flat(value, path)
        else:
            yield path, value


def differences(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values are not the same in all tables that hold any; an integer is not the same as a float.

    >>> differences([{"seed": 0, "lr": 0.1}, {"seed": 1, "lr": 0.1, "about": "kd"}])
    ['seed', 'about']
    """
    filled = [table for table in tables if table]
    return [
        key for key in _keys(filled) if len({repr(table[key]) if key in table else MISSING for table in filled}) > 1
    ]


def _keys(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """All keys, in the order of the table that has the most; what it lacks comes at the end."""
    return list(dict.fromkeys(key for table in sorted(tables, key=len, reverse=True) for key in table))


def measures(results: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of `results.json` by what the table calls them, the test split first."""
    epochs = {name: results[name] for name in ("best", "last") if results.get(name)}
    splits = {name: None for epoch in epochs.values() for name, part in epoch.items() if isinstance(part, Mapping)}
    found: dict[str, Any] = {}
    for split in sorted(splits, key=lambda name: name != "test"):
        for metric in dict.fromkeys(metric for epoch in epochs.values() for metric in epoch.get(split) or {}):
            values = {name: (epoch.get(split) or {}).get(metric) for name, epoch in epochs.items()}
            found |= {f"{split} {metric}, {name} epoch": value for name, value in values.items()}
    found |= {f"{name} epoch": epoch["epoch"] for name, epoch in epochs.items()}
    found |= {f"parameters of {name}": size for name, size in (results.get("parameters") or {}).items()}
    return {**found, "seconds": results.get("seconds")}


def _record(runs: Sequence[Run]) -> dict[str, Any]:
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
    """A line for each run, then a table of each kind of difference, then the results."""
    for number, run in enumerate(runs, start=1):
        print(f"run {number}: {run.folder}, {run.state()}{'' if run.environment else f', no {ENVIRONMENT}'}")
    tables = {RESOLVED: [run.config for run in runs], ENVIRONMENT: [run.environment for run in runs]}
    keys = {name: differences(values) for name, values in tables.items()}
    if same := [name for name in tables if not keys[name]]:
        print(f"no difference in {' and '.join(same)}")
    for name in tables:
        if keys[name]:
            quotes = name == RESOLVED  # a version is a string that looks like a number
            rows = [
                [key, *(shown(v[key], quotes=quotes) if key in v else MISSING for v in tables[name])]
                for key in keys[name]
            ]
            _print_table(name, rows)
    results = [measures(run.results) if run.results else {} for run in runs]
    if measured := _keys(results):
        _print_table("results", [[key, *(_number(result.get(key)) for result in results)] for key in measured])


def _number(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:,}" if isinstance(value, int) else describe_number(value)


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
