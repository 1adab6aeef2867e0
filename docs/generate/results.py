"""What the benchmarks hold of each loss: its recipes, and its rows in the tables of results."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from distill_core import config, report

TOP = Path(__file__).resolve().parents[2]
BENCHMARKS = TOP / "benchmarks"
LOSS = re.compile(r"!import_call:(distill_(?:core|nlp)\.losses\.\w+)")
COMPANIONS = {
    f"distill_{name}" for name in ("core.losses.KDLoss", "core.losses.ReportedLoss", "core.losses.TokenCELoss", "nlp.losses.ScoreLoss")
}  # fmt: skip
"""Losses that recipes have beside that of their method. Rows with another loss are not theirs."""


@dataclass(frozen=True)
class Measured:
    """A row of a table of results.

    Attributes:
        table: The title of the table.
        row: The title of the row.
        runs: Number of runs.
        metric: What was measured, and on which split.
        value: Mean ± sample standard deviation.
        alone: The same of the student without a teacher; empty if the table has no such row.
        losses: The import paths of the losses in its recipe.
    """

    table: str
    row: str
    runs: int
    metric: str
    value: str
    alone: str
    losses: frozenset[str]


def recipes(path: str) -> list[Path]:
    """Return the recipes that name a loss, those of images first and of small datasets last."""
    files = [file for file in _files() if path in LOSS.findall(file.read_text(encoding="utf-8"))]
    last = ("digits", "teacher_cache", "glue")
    return sorted(files, key=lambda file: ([name in str(file) for name in last], file))


def term(recipe: Path, path: str) -> str:
    """Return the lines of a recipe that hold the term of a loss."""
    text = recipe.read_text(encoding="utf-8")
    key, value = next(_terms(config.read(recipe).root, path))
    lines = text[key.start_mark.index : value.end_mark.index].rstrip().split("\n")
    while lines[-1].lstrip().startswith("#") or not lines[-1].strip():
        lines.pop()
    indent = key.start_mark.column
    return "\n".join([lines[0], *(line[indent:] for line in lines[1:])])


def measured(path: str) -> list[Measured]:
    """Return the rows of all tables whose recipe names a loss."""
    rows = [row for row in _measured() if path in row.losses]
    return [row for row in rows if path not in COMPANIONS or row.losses <= COMPANIONS]


def _terms(node: yaml.Node, path: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield (name, term) of each mapping with `loss` and `inputs` that contains a loss."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            names = {inner.value for inner, _ in value.value} if isinstance(value, yaml.MappingNode) else set()
            if {"loss", "inputs"} <= names and path in _losses(value):
                yield key, value
            else:
                yield from _terms(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _terms(value, path)


def _losses(node: yaml.Node) -> frozenset[str]:
    """Return the import paths of the losses in a node."""
    found = set(LOSS.findall(f"{node.tag}"))
    children = node.value if isinstance(node.value, list) else []
    for child in children:
        for inner in child if isinstance(child, tuple) else (child,):
            found |= _losses(inner)
    return frozenset(found)


@functools.cache
def _files() -> tuple[Path, ...]:
    return tuple(sorted(BENCHMARKS.glob("*/configs/*/*.yaml")))


@functools.cache
def _measured() -> tuple[Measured, ...]:
    return tuple(row for table in _tables() for row in _rows(*table))


def _tables() -> Iterator[tuple[str, str, Path, list[report.RunResult]]]:
    """Yield the title of each table, its split, the folder of its recipes and its runs."""
    for file in sorted(BENCHMARKS.glob("*/results/*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        runs = [
            report.RunResult(**{k: float("nan") if v is None else v for k, v in run.items()}) for run in record["runs"]
        ]
        yield record["title"], "test", file.parents[1] / "configs" / file.stem, runs
    for folder in sorted(path.parent for path in BENCHMARKS.glob("*/results/*/table.md")):
        title = (folder / "table.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        runs = list(map(_last_epoch, sorted(folder.glob("*/seed*/results.json"))))
        yield title, "validation", folder.parents[1] / "configs" / folder.name, runs


def _last_epoch(file: Path) -> report.RunResult:
    """Return a run of a table without a test split: its last epoch on the validation split."""
    results = json.loads(file.read_text(encoding="utf-8"))
    name = results["selection"]["metric"]
    value = results["last"]["val"][name]
    return report.RunResult(
        row=file.parents[1].name,
        title=results["about"],
        seed=results["seed"],
        best=value,
        last=value,
        val=value,
        metric=name,
        selection="",
        parameters=results["parameters"]["student"],
        seconds=results["seconds"],
        percent=name in results["percent"],
    )


def _rows(title: str, split: str, recipes: Path, runs: list[report.RunResult]) -> Iterator[Measured]:
    names = [name for name in dict.fromkeys(run.row for run in runs) if (recipes / f"{name}.yaml").is_file()]
    losses = {name: _losses(config.read(recipes / f"{name}.yaml").root) for name in names}
    rows = {name: report.summarise([run for run in runs if run.row == name])[0] for name in names}
    alone: dict[str | int, str] = {
        key: report.plus_minus(row.best, percent=row.percent)
        for name, row in rows.items()
        if name.startswith(("no_teacher", "ce_", "mse_"))
        for key in (name, row.parameters)
    }
    for name, row in rows.items():
        metric = f"{row.metric}{' (%)' if row.percent else ''}, {split}"
        value = report.plus_minus(row.best, percent=row.percent)
        baseline = alone.get(row.parameters) or alone.get("no_teacher", "")
        yield Measured(title, row.name, row.seeds, metric, value, baseline, losses[name])
