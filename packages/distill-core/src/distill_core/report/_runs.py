"""Results of finished runs, read from their `results.json` alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError, did_you_mean
from ..records import read_record

RESULTS = "results.json"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The value of one metric for one finished run.

    Attributes:
        row: Key of its row in the table.
        title: Title of its row.
        seed: The seed of the run.
        best: The metric on the test split for the selected checkpoint, or the last one if none was selected; `nan` if it
            was not finite.
        last: The metric on the test split after the last epoch; `nan` if it was not measured.
        val: The metric on the validation split for the best checkpoint; `nan` if it was not measured.
        metric: Name of the metric.
        percent: Whether the metric is a fraction and is printed in percent.
        selection: Rule that selected the best checkpoint: `max top1 on val`; empty if none was selected.
        parameters: Number of parameters of the student; of the only model in a run of one.
        teacher_parameters: Number of parameters of the teacher; 0 in a run without one.
        seconds: Duration of the run.
    """

    row: str
    title: str
    seed: int
    best: float
    last: float
    val: float
    metric: str
    selection: str
    parameters: int
    seconds: float
    percent: bool = False
    teacher_parameters: int = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """The runs of one row; each pair is mean and sample standard deviation (`nan` for a single run)."""

    name: str
    seeds: int
    parameters: int
    best: tuple[float, float]
    last: tuple[float, float]
    val: tuple[float, float]
    metric: str
    selection: str
    values: tuple[float, ...]
    percent: bool = False
    teacher_parameters: int = 0


def collect(folders: Iterable[Path | str], *, metric: str = "") -> list[RunResult]:
    """Read the results of run folders; unfinished runs are omitted.

    Args:
        folders: Run folders, `…/<row>/<seed or time>`: the parent's name is the row. `about` of the experiment is its
            title.
        metric: The test metric to show; by default the one that selected the best checkpoint, or the first one.

    Raises:
        DataError: A run lacks the metric on its test split.
    """
    return [_read(Path(folder), metric) for folder in folders if (Path(folder) / RESULTS).is_file()]


def _read(folder: Path, metric: str) -> RunResult:
    results = read_record(folder / RESULTS)
    best, last, selection = (results.get(key) or {} for key in ("best", "last", "selection"))
    test = best.get("test") or last.get("test") or {}
    name = str(metric or (selection.get("metric") if selection.get("metric") in test else next(iter(test), "")))
    if not test:
        message = f"{folder / RESULTS}: the run has no test metrics"
        raise DataError(message, hint="add `test:` to the experiment")
    if name not in test:
        message = f"{folder / RESULTS}: no test metric '{name}'"
        raise DataError(message, hint=did_you_mean(name, test))
    sizes = results.get("parameters") or {}
    return RunResult(
        row=folder.parent.name,
        title=results.get("about") or folder.parent.name,
        seed=int(results["seed"]),
        best=_number({"test": test}, "test", name),
        last=_number(last, "test", name),
        val=_number(best, "val", name),
        metric=name,
        selection="{mode} {metric} on {split}".format_map(selection) if selection else "",
        parameters=_size(sizes, "student", next(iter(sizes), "")),
        teacher_parameters=_size(sizes, "teacher") if len(sizes) > 1 else 0,
        seconds=float(results.get("seconds", math.nan)),
        percent=name in results.get("percent", ()),
    )


def _size(sizes: Mapping[str, Any], *names: str) -> int:
    """Return the number of parameters of the first model that a run has; 0 if it has none of them."""
    return int(next((sizes[name] for name in names if name in sizes), 0))


def _number(record: Mapping[str, Any], split: str, name: str) -> float:
    value = (record.get(split) or {}).get(name)
    return math.nan if value is None else float(value)  # results.json has null for NaN and infinity


def summarise(results: Sequence[RunResult]) -> list[Row]:
    """Return a `Row` for each row key, in the order of first appearance."""
    names = dict.fromkeys(result.row for result in results)
    return [_row(sorted((r for r in results if r.row == name), key=lambda run: run.seed)) for name in names]


def _row(runs: Sequence[RunResult]) -> Row:
    return Row(
        name=runs[0].title,
        seeds=len(runs),
        parameters=runs[0].parameters,
        best=mean_and_deviation([run.best for run in runs]),
        last=mean_and_deviation([run.last for run in runs]),
        val=mean_and_deviation([run.val for run in runs]),
        metric=runs[0].metric,
        selection=runs[0].selection,
        values=tuple(run.best for run in runs),
        percent=runs[0].percent,
        teacher_parameters=runs[0].teacher_parameters,
    )


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (n − 1); `nan` for a single value, or if a value is `nan`.

    >>> mean_and_deviation([1.0, 3.0]), mean_and_deviation([1.0, math.nan])
    ((2.0, 1.4142135623730951), (nan, nan))
    """
    if any(math.isnan(value) for value in values):
        return math.nan, math.nan
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan
