"""`distill sweep`: a grid, random or TPE search, ranked by the mean over seeds of a metric on the validation split."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import DistillError, did_you_mean
from .._command import Command
from .._exit import refuse
from .._options import PATH, change_option, json_option, trust_option
from .._record_output import lines_aside, print_json
from ._sweep_table import print_table, write_table

if TYPE_CHECKING:
    from ._sweep_runs import SweepRuns

SEARCHES = ("grid", "random", "tpe")


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
    help="Number of settings to try in a random or TPE search, each with all values of `seed`.",
    show_default="all combinations",
)
@click.option(
    "--search",
    metavar="|".join(SEARCHES),
    default="",
    help="How to choose settings: all, randomly, or by TPE (Optuna) from the results so far.",
    show_default="grid, with --trials random",
)
@click.option(
    "--prune",
    is_flag=True,
    help="With TPE: end a setting whose metric is worse than the median of the others at the same epoch.",
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
    search: str,
    prune: bool,
    change: bool,
    trust: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a search over hyperparameters.

    It tries all combinations, or --trials of them, chosen randomly or by TPE. If `seed` has several values, settings are
    ranked by the mean over seeds. Repeat the command to resume an interrupted search; with a larger --trials it continues.
    Searches with the same --trials train the same number of settings, of which --prune ends some early.
    """
    with lines_aside(as_json=as_json):
        run_sweep(
            file, values, output=output, metric=metric, trials=trials, search=search, prune=prune, change=change,
            trust=trust, as_json=as_json,
        )  # fmt: skip


def run_sweep(
    file: Path,
    changes: Sequence[str] = (),
    *,
    output: Path | None = None,
    metric: str = "",
    trials: int | None = None,
    search: str = "",
    prune: bool = False,
    change: bool = False,
    trust: Sequence[str] = (),
    as_json: bool = False,
) -> list[dict[str, Any]]:
    """Check every run, start those that are not finished, print and write the table.

    Args:
        file: A sweep or an experiment, see `_sweep_file.py`.
        changes: `key=a,b,c`, and overrides that are the same for all runs.
        output: Folder that holds the output folders of the runs; `runs/sweeps/<name of the file>` by default.
        metric: The metric that ranks the runs; by default that of the file, or the one that selects the checkpoint.
        trials: Number of settings of a random or TPE search, each with all seeds; all combinations by default.
        search: `grid`, `random` or `tpe`; by default `random` with `trials` and `grid` otherwise.
        prune: With `tpe`, end a setting whose metric is worse than the median of the others at the same epoch.
        change: Accept changes of unfinished runs that do not affect what was trained so far.
        trust: Packages whose objects the experiment may name besides the trusted ones.
        as_json: Print the content of `sweep.json` instead of the table.

    Returns:
        The content of `sweep.json`: the settings with finished runs, best first.

    Raises:
        ConfigError: A file has problems; nothing was run.
        DistillError: Runs failed; the others are finished.
    """
    from ._ranking import ranked
    from ._sweep_file import read_sweep
    from ._sweep_runs import SweepRuns

    kind = search or ("grid" if trials is None else "random")
    _check_search(kind, trials, prune=prune)
    sweep = read_sweep(file, changes)
    folder = output or Path("runs") / "sweeps" / file.stem
    metric = metric or sweep.metric
    runs = SweepRuns(sweep, folder, sys.stderr if as_json else sys.stdout, change=change, trust=trust, metric=metric)
    points, failed = _run_search(runs, kind, trials, metric=metric, prune=prune)
    records = ranked(points, metric)
    write_table(folder, records)
    if as_json:
        print_json(records)
    else:
        print_table(folder, records)
    if failed:
        message = f"{len(failed)} of {len(points)} runs failed: {', '.join(path.name for path in failed)}"
        raise DistillError(message, hint="see log.txt in each folder; the same command runs only these again")
    return records


def _run_search(
    runs: SweepRuns, kind: str, trials: int | None, *, metric: str, prune: bool
) -> tuple[dict[Path, dict[str, str]], list[Path]]:
    """Check every run and start those that are not finished; return all runs with their values, and the failed ones."""
    if kind == "tpe":
        from ._tpe import search_by_tpe

        return search_by_tpe(runs, trials or 0, metric=metric, prune=prune)
    points = runs.folders(runs.sweep.points(trials))
    runs.check(points)
    numbered = enumerate(points.items(), 1)
    return points, [path for n, (path, point) in numbered if not runs.run(path, point, f"{n}/{len(points)}")]


def _check_search(search: str, trials: int | None, *, prune: bool) -> None:
    """Refuse options that do not belong to a search.

    Raises:
        ConfigError: `trials` is missing or not used, or `prune` is not used.
    """
    if search not in SEARCHES:
        refuse(f"the search must be one of {', '.join(SEARCHES)}, got '{search}'", did_you_mean(search, SEARCHES))
    if search == "grid" and trials is not None:
        refuse("a grid runs all combinations, so --trials does not apply", "use --search random or tpe")
    if search != "grid" and trials is None:
        refuse(f"--search {search} needs a number of settings", "add --trials N")
    if prune and search != "tpe":
        refuse(f"--prune requires --search tpe, got {search}", "add --search tpe")
