"""The rows of a report: runs that differ only in their seed.

Runs in one parent folder share a row if their seeds differ, as those of `runs/kd/seed0`, `runs/kd/seed1`. Where several runs have
one seed, as in a sweep, those whose configurations differ only in the seed share one. Repeated runs have a row each.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...report import RunResult

_SEED = re.compile(r"(^|,)seed=[^,]*")


def in_rows(runs: Sequence[Path], results: Sequence[RunResult]) -> list[RunResult]:
    """Return the results with the name of their row, and titles that distinguish the rows.

    Args:
        runs: Folders of runs.
        results: The return value of `collect` for these folders.
    """
    seeds = [result.seed for result in results]
    rows = _rows(runs, seeds)
    shared = os.path.commonpath([row.parent for row in rows])
    names = [row.relative_to(shared).as_posix() for row in rows]
    titles = Counter(title for _, title in {(name, run.title) for name, run in zip(names, results, strict=True)})
    return [
        replace(run, row=name, title=f"{run.title} ({name})" if titles[run.title] > 1 else run.title)
        for name, run in zip(names, results, strict=True)
    ]


def _rows(runs: Sequence[Path], seeds: Sequence[int]) -> list[Path]:
    """Return a path for each run; those of a row have the same."""
    times = Counter((run.parent, seed) for run, seed in zip(runs, seeds, strict=True))
    repeated = {parent for (parent, _), count in times.items() if count > 1}
    settings: dict[tuple[Path, frozenset[tuple[str, str]]], list[int]] = defaultdict(list)
    for index, (run, seed) in enumerate(zip(runs, seeds, strict=True)):
        if run.parent in repeated:
            settings[run.parent, _setting(run, seed)].append(index)
    rows = [run if run.parent in repeated else run.parent for run in runs]
    for (parent, _), indices in settings.items():
        if len(indices) > 1 and len({seeds[index] for index in indices}) == len(indices):
            name = _SEED.sub("", runs[indices[0]].name).strip(",") or runs[indices[0]].name
            for index in indices:
                rows[index] = parent / name
    return [row.resolve() for row in rows]


def _setting(run: Path, seed: int) -> frozenset[tuple[str, str]]:
    """Return the configuration of a run without its seed, which other keys may repeat by an alias."""
    from .._record import read_run

    config = read_run(run).config
    return frozenset((key, str(value)) for key, value in config.items() if not (key.endswith("seed") and value == seed))
