"""The HTML report of `distill report`: the records of runs, read for the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...report import Row, RunResult
from ...report.html import ReportRun, Section, comparison_section, cost_section, html_report, write_html
from .._exit import refuse
from .._record import read_metrics, read_run
from ._compare import difference_tables

PICTURES = "pictures"
MAX_PICTURES = 8
"""Number of pictures of a run that are shown."""


def write_page(
    output: Path,
    title: str,
    folders: Sequence[Path],
    results: Sequence[RunResult],
    rows: Sequence[Row],
    *,
    compare_models: bool = False,
    trust: Sequence[str] = (),
) -> None:
    """Write the HTML report.

    Args:
        output: The file.
        title: Title of the page.
        folders: The folders of the runs.
        results: The result of each run.
        rows: The rows of the table.
        compare_models: Rebuild the models of the first run of each row, and compare student and teacher.
        trust: Packages whose objects the configurations may name besides the trusted ones.

    Raises:
        ConfigError: The models of a run cannot be rebuilt or compared.
        DataError: A record of a run is damaged.
    """
    names = run_names(folders, results)
    runs = [
        ReportRun(result.title, name, read_metrics(folder), _pictures(folder))
        for folder, name, result in zip(folders, names, results, strict=True)
    ]
    sections: list[Section] = []
    if compare_models:
        first = {result.row: index for index, result in reversed(list(enumerate(results)))}
        sections = _model_sections([(folders[index], names[index]) for index in sorted(first.values())], trust)
    differences = _differences(folders, names)
    write_html(output, html_report(title, rows, runs, differences=differences, sections=sections))


def _model_sections(runs: Sequence[tuple[Path, str]], trust: Sequence[str]) -> list[Section]:
    """Return the costs of all models, then a section for each run with a teacher."""
    from ._run_models import study_models

    found = {name: models for folder, name in runs if (models := study_models(folder, trust=trust)) is not None}
    if not found:
        refuse("no run has a student and a teacher, so there are no models to compare", "omit --compare-models")
    device = next(iter(found.values())).device
    return [
        cost_section({name: models.costs for name, models in found.items()}, device=device),
        *(comparison_section(name, models.comparison, data=models.split) for name, models in found.items()),
    ]


def run_names(folders: Sequence[Path], results: Sequence[RunResult]) -> list[str]:
    """Return a name for each run: the title of its row, with the folder if others share it."""
    titles = [result.title for result in results]
    return [
        f"{result.title}, {folder.name}" if titles.count(result.title) > 1 else result.title
        for folder, result in zip(folders, results, strict=True)
    ]


def _pictures(folder: Path) -> list[bytes]:
    files = sorted((folder / PICTURES).glob("*.png"), key=lambda file: (len(file.name), file.name))
    return [file.read_bytes() for file in files[:MAX_PICTURES]]


def _differences(folders: Sequence[Path], names: Sequence[str]) -> list[tuple[str, list[list[str]]]]:
    if len(folders) < 2:
        return []
    tables = difference_tables([read_run(folder) for folder in folders])
    return [(file, [["key", *names], *rows]) for file, (rows, _) in tables.items() if rows]
