"""`distill list`: losses, models, datasets, callbacks and more that an experiment can name."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from .._command import Command
from .._options import json_option

if TYPE_CHECKING:
    from ._exports import Export, Parameter
    from ._methods import Method

MIN_WIDTH, MAX_PARAMETERS = 24, 44
"""Smallest width of the last column, and largest width of the column of parameters, in characters."""


KINDS = ("losses", "models", "data", "metrics", "callbacks", "optimizers", "schedules", "codecs")


@click.command("list", cls=Command)
@click.argument("kind", type=click.Choice(KINDS), help="Kind of objects to list.")
@json_option
def list_(kind: str, as_json: bool) -> None:
    """List losses, models, datasets and others."""
    print_list(kind, as_json=as_json)


def print_list(kind: str, *, as_json: bool = False) -> None:
    """Print every loss with its method, paper and year, or every object of another kind of the installed packages.

    Args:
        kind: One of `KINDS`.
        as_json: Print a JSON list.
    """
    from ._exports import exports
    from ._methods import methods

    losses = methods() if kind == "losses" else []
    objects = [] if kind == "losses" else exports(kind)
    records: list[dict[str, Any]] = [*_records(losses), *map(asdict, objects)]
    if as_json:
        print(json.dumps(records, indent=1, ensure_ascii=False))
    else:
        print(_losses(losses) if kind == "losses" else export_tables(kind, objects))


def markdown(methods: Sequence[Method]) -> str:
    """Return the methods as a Markdown table, one line each."""
    lines = ["| loss | method | paper | reduction scope |", "|---|---|---|---|"]
    for method in methods:
        source = method.reference
        name = source.method if method.is_verified else f"{source.method}, unverified"
        venue = " ".join(text for text in (source.venue, source.year) if text)
        paper = f"[{source.paper}]({source.link})" if source.paper else "–"
        lines.append(
            f"| `{method.name}` | {name} | {', '.join((paper, *([venue] if venue else [])))} | {method.reduction_scope} |"
        )
    return "\n".join(lines) + "\n"


def _records(methods: Sequence[Method]) -> list[dict[str, Any]]:
    return [
        {
            "name": method.name,
            "path": method.path,
            "reduction_scope": method.reduction_scope,
            "is_verified": method.is_verified,
            **asdict(method.reference),
        }
        for method in methods
    ]


def _losses(methods: Sequence[Method]) -> str:
    rows = [("loss", "year", "venue", "reduction scope", "method")] + [
        (m.name, m.reference.year or "–", m.reference.venue or "–", m.reduction_scope or "–", m.reference.method)
        for m in methods
    ]
    return table(rows, f"{len(methods)} losses; import paths: {methods[0].path}")


def export_tables(kind: str, objects: Sequence[Export]) -> str:
    """Return a table for each package."""
    plural = {"data": "datasets"}.get(kind, kind)
    if not objects:
        return f"no {plural} are installed: pip install distill-vision for images, distill-nlp for text"
    tables = []
    for _, group in groupby(objects, key=lambda export: export.path.rpartition(".")[0]):
        exports = list(group)
        rows = [(plural[:-1], "parameters", "description")]
        rows += [(export.name, _signature(export.parameters) or "–", export.summary) for export in exports]
        where = "names for `codec` of a cache" if kind == "codecs" else f"import paths: {exports[0].path}"
        tables.append(table(rows, f"{len(exports)} {plural if len(exports) > 1 else plural[:-1]}; {where}"))
    return "\n\n".join(tables)


def _signature(parameters: Sequence[Parameter]) -> str:
    """Return the required parameters, then the optional ones, shortened to the width of the column."""
    ordered = sorted(parameters, key=lambda parameter: parameter.default is not None)
    words = [p.name if p.default is None else f"{p.name}={p.default}" for p in ordered]
    fitting = [count for count in range(len(words)) if len(", ".join([*words[:count], "…"])) <= MAX_PARAMETERS]
    text = ", ".join(words)
    return text if len(text) <= MAX_PARAMETERS else ", ".join([*words[: max(fitting)], "…"])


def table(rows: Sequence[Sequence[str]], end: str, width: int | None = None) -> str:
    """Return aligned columns; the last column holds sentences and is wrapped at the width of the terminal.

    Args:
        rows: The column titles, then the rows.
        end: The line below the table.
        width: Width of the terminal; detected by default, and unlimited if the output is not a terminal.
    """
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    left = sum(widths) + 2 * len(widths)
    lines = []
    for *cells, sentence in rows:
        head = "".join(f"{cell:{size}}  " for cell, size in zip(cells, widths, strict=True))
        first, *more = textwrap.wrap(sentence, max(MIN_WIDTH, width - left)) or [""]
        lines += [(head + first).rstrip(), *(" " * left + line for line in more)]
    return "\n".join([*lines, "", end])
