"""`distill report`: a table of finished runs.

A finished run is a folder with `config.resolved.yaml` and `results.json`. See `_rows.py` for the runs that share a row.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import DataError, did_you_mean
from ...records import read_record, strict_json
from .._command import Command
from .._exit import refuse
from .._options import PATH, json_option, trust_option
from .._run_files import RESOLVED, RESULTS
from ._checklists import print_checklists
from ._rows import in_rows

if TYPE_CHECKING:
    from ...report import Row, RunResult

MAX_LISTED = 5
"""Number of omitted runs that are named."""
ENDINGS = (".html", ".tex", ".csv", ".md", ".json", ".png")


@click.command(cls=Command)
@click.argument(
    "folders", metavar="FOLDER...", type=PATH, nargs=-1, required=True, help="Folders with runs at any depth."
)
@click.option(
    "--output",
    metavar="PATH",
    type=PATH,
    help="Also write the report: X.html is one page with curves, X.tex and X.csv the table, PATH all of PATH.md, PATH.json "
    "and, with matplotlib, PATH.png.",
)
@click.option("--title", metavar="TEXT", default="", help="Title of the table.", show_default="the folders")
@click.option(
    "--metric",
    metavar="NAME",
    default="",
    help="Test metric to show; runs without it are omitted.",
    show_default="the metric of the checkpoint",
)
@click.option(
    "--compare-models",
    is_flag=True,
    help="For X.html: rebuild the models of the first run of each row, compare student and teacher on its evaluation data, "
    "and measure latency, FLOPs and memory.",
)
@click.option(
    "--checklist",
    is_flag=True,
    help="Print the ML Code Completeness Checklist of each run instead of a table: dependencies, training and evaluation "
    "code, weights, results.",
)
@trust_option
@json_option
def report(
    folders: tuple[Path, ...],
    output: Path | None,
    title: str,
    metric: str,
    compare_models: bool,
    checklist: bool,
    trust: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print a table of finished runs.

    Runs that differ only in the seed share a row with their mean and standard deviation.
    """
    if checklist:
        if output is not None or compare_models:
            refuse("--checklist is printed", "omit --output and --compare-models")
        print_checklists(_finished_runs(folders), as_json=as_json)
        return
    report_runs(
        folders, output=output, title=title, metric=metric, compare_models=compare_models, trust=trust, as_json=as_json
    )


def report_runs(
    folders: Sequence[Path],
    *,
    output: Path | None = None,
    title: str = "",
    metric: str = "",
    compare_models: bool = False,
    trust: Sequence[str] = (),
    as_json: bool = False,
) -> None:
    """Find finished runs, print their table, and write it to files if requested.

    Args:
        folders: Folders to search at any depth. Rows are in this order, and sorted by name within a folder.
        output: The file to write, .html, .tex or .csv; otherwise `output`.md, .json and, with matplotlib, .png are written.
        title: Title of the table; the folders by default.
        metric: The test metric to show, of the runs that have it; by default the one that selected the checkpoint.
        compare_models: Rebuild the models of the first run of each row for the HTML page.
        trust: Packages whose objects the configurations may name besides the trusted ones.
        as_json: Print every run as JSON instead of the table.

    Raises:
        ConfigError: `output` has an unknown extension, a folder does not exist or holds no finished run, or the runs have
            different metrics.
        DataError: No run has the metric on its test split, or `output` is a .png and matplotlib is not installed.
    """
    from ...report import as_record, collect, print_table, require_matplotlib, summarise

    if compare_models and (output is None or output.suffix != ".html"):
        refuse("--compare-models requires an HTML report", "add --output X.html")
    if output is not None and output.suffix not in ("", *ENDINGS):
        hint = f"choose from {', '.join(ENDINGS)}; PATH without an extension writes PATH.md, PATH.json and PATH.png"
        refuse(f"{output} has an unknown extension", hint)
    if output is not None and output.suffix == ".png":
        require_matplotlib()
    finished = _with_metric(_finished_runs(folders), metric)
    results = in_rows(finished, collect(finished, metric=metric))
    _refuse_mixed(finished, results)
    rows = summarise(results)
    title = title or ", ".join(map(str, folders))
    if as_json:
        print(strict_json(as_record(results, title=title), indent=1))
    else:
        print_table(rows, title=title)
    if output is None:
        return
    if output.suffix == ".html":
        from ._report_page import write_page

        write_page(output, title, finished, results, rows, compare_models=compare_models, trust=trust)
    for file in [output] if output.suffix == ".html" else _write(output, title, results, rows):
        print(file, file=sys.stderr if as_json else sys.stdout)


def _finished_runs(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of finished runs, and name those of unfinished ones on stderr."""
    if absent := [folder for folder in folders if not folder.is_dir()]:
        refuse(f"there is no folder '{absent[0]}'")
    runs = find_runs(folders)
    finished = [run for run in runs if (run / RESULTS).is_file()]
    if not finished:
        searched = ", ".join(map(str, folders))
        refuse(f"no finished run below {searched}", f"a finished run is a folder with {RESOLVED} and {RESULTS}")
    if unfinished := [str(run) for run in runs if run not in finished]:
        _print_omitted("unfinished", unfinished)
    return finished


def _print_omitted(reason: str, runs: Sequence[str]) -> None:
    listed = [*runs[:MAX_LISTED], *(["…"] if len(runs) > MAX_LISTED else [])]
    print(f"{len(runs)} {reason}, omitted: {', '.join(listed)}", file=sys.stderr)


def _with_metric(runs: list[Path], metric: str) -> list[Path]:
    """Return the runs with a test metric, and name the others on stderr; all runs if no metric is chosen."""
    if not metric:
        return runs
    tested = {run: _test_metrics(run) for run in runs}
    found = [run for run in runs if metric in tested[run]]
    if not found:
        names = {name for each in tested.values() for name in each}
        message = f"no run has the test metric '{metric}'"
        raise DataError(message, hint=did_you_mean(metric, names) or "add `test:` to the experiment")
    if others := [str(run) for run in runs if run not in found]:
        _print_omitted(f"without test metric '{metric}'", others)
    return found


def _test_metrics(run: Path) -> set[str]:
    """Return the names of the metrics that `collect` finds in a run."""
    results = read_record(run / RESULTS)
    tests = ((results.get(key) or {}).get("test") for key in ("best", "last"))
    return set(next(filter(None, tests), ()))


def _write(output: Path, title: str, results: Sequence[RunResult], rows: Sequence[Row]) -> list[Path]:
    """Write the table as `--output` asks for, and return the files."""
    from ...report import write, write_table

    if output.suffix in (".tex", ".csv"):
        write_table(output, rows)
        return [output]
    path = output.with_suffix("") if output.suffix in (".md", ".json", ".png") else output
    return write(path, results, rows, title=title)


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """Return the folders of runs, finished or not, each once."""
    runs: dict[Path, Path] = {}
    for folder in folders:
        for file in sorted(folder.rglob(RESOLVED)):
            runs.setdefault(file.parent.resolve(), file.parent)
    return list(runs.values())


def _refuse_mixed(runs: Sequence[Path], results: Sequence[RunResult]) -> None:
    """Refuse runs with different metrics: a table shows one metric."""
    first: dict[str, Path] = {}
    for run, result in zip(runs, results, strict=True):
        first.setdefault(result.metric, run)
    if len(first) > 1:
        shown = ", ".join(f"'{metric}' in {run}" for metric, run in first.items())
        refuse(f"the runs have different metrics: {shown}", "choose one with --metric, or name fewer folders")
