"""`distill report`: finished runs as a table.

A finished run is a folder with `config.resolved.yaml` and `results.json`. Runs whose folders lie in the same one are a row,
if each has a seed of its own; a sweep's runs, or a run made again with the same seed, are a row each.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..report import RunResult, collect, print_table, summarise, write
from ._exit import refuse
from ._folder import RESOLVED, RESULTS

MOST_TOLD = 5  # of unfinished runs


def report_runs(folders: Sequence[Path], *, output: Path | None = None, title: str = "", metric: str = "") -> None:
    """Find finished runs, print their table, and write it where that is asked for.

    Args:
        folders: Where to look, at any depth; the rows are in this order, and below a folder in that of the names.
        output: Write `output`.md, .json and .png.
        title: The heading; the names of the folders if left out.
        metric: The test metric to show; the one that chose the checkpoint if left out.

    Raises:
        ConfigError: There is no such folder, no finished run below it, or the runs show different metrics.
        DataError: A run did not measure the metric on its test split, or matplotlib is not there for the plot.
    """
    absent = [folder for folder in folders if not folder.is_dir()]
    if absent:
        refuse(f"there is no folder '{absent[0]}'")
    begun = find_runs(folders)
    found = [run for run in begun if (run / RESULTS).is_file()]
    places = ", ".join(map(str, folders))
    if not found:
        refuse(f"no finished run below {places}", f"a finished run is a folder with {RESOLVED} and {RESULTS}")
    if unfinished := [str(run) for run in begun if run not in found]:
        told = [*unfinished[:MOST_TOLD], *(["…"] if len(unfinished) > MOST_TOLD else [])]
        print(f"{len(unfinished)} not finished, left out: {', '.join(told)}", file=sys.stderr)
    results = in_rows(found, collect(found, metric=metric))
    _refuse_mixed(found, results)
    rows = summarise(results)
    print_table(rows, title=title or places)
    if output is not None:
        path = output.with_suffix("") if output.suffix in (".md", ".json", ".png") else output
        for file in write(path, results, rows, title=title or places):
            print(file)


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """The folders of runs, finished or not, each once."""
    found: dict[Path, Path] = {}
    for folder in folders:
        for file in sorted(folder.rglob(RESOLVED)):
            found.setdefault(file.parent.resolve(), file.parent)
    return list(found.values())


def in_rows(runs: Sequence[Path], results: Sequence[RunResult]) -> list[RunResult]:
    """The results with the rows that they belong to, and titles that tell the rows apart.

    Args:
        runs: The folders.
        results: What `collect` read from them.
    """
    seeds = Counter((run.parent, result.seed) for run, result in zip(runs, results, strict=True))
    repeated = {parent for (parent, _), times in seeds.items() if times > 1}
    rows = [(run if run.parent in repeated else run.parent).resolve() for run in runs]
    shared = os.path.commonpath([row.parent for row in rows])
    names = [row.relative_to(shared).as_posix() for row in rows]
    titles = Counter(title for _, title in {(name, run.title) for name, run in zip(names, results, strict=True)})
    return [
        replace(run, row=name, title=f"{run.title} ({name})" if titles[run.title] > 1 else run.title)
        for name, run in zip(names, results, strict=True)
    ]


def _refuse_mixed(runs: Sequence[Path], results: Sequence[RunResult]) -> None:
    """A table shows one metric."""
    first: dict[str, Path] = {}
    for run, result in zip(runs, results, strict=True):
        first.setdefault(result.metric, run)
    if len(first) > 1:
        shown = ", ".join(f"'{metric}' in {run}" for metric, run in first.items())
        refuse(f"the runs are not measured alike: {shown}", "choose one with --metric, or name fewer folders")
