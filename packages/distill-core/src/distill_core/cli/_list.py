"""`distill list`: what there is, for people and for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from ._exports import Export, Parameter, exports
from ._methods import Method, methods

NARROWEST, LONGEST = 24, 44
"""Characters that the last column has at least, and what a function takes at most."""


def print_list(what: str, *, as_json: bool = False) -> None:
    """Print every loss with its method, paper and year; or every model, data set or metric of the installed packages.

    Args:
        what: `losses`, `models`, `data` or `metrics`.
        as_json: A JSON list, for programs.
    """
    losses = methods() if what == "losses" else []
    found = [] if what == "losses" else exports(what)
    records: list[dict[str, Any]] = [*_records(losses), *map(asdict, found)]
    if as_json:
        print(json.dumps(records, indent=1, ensure_ascii=False))
    else:
        print(_losses(losses) if what == "losses" else offered(what, found))


def markdown(found: Sequence[Method]) -> str:
    """The methods as a Markdown table, a line each."""
    lines = ["| loss | method | paper | reduction scope |", "|---|---|---|---|"]
    for method in found:
        source = method.reference
        where = " ".join(part for part in (source.venue, source.year) if part)
        paper = f"[{source.paper}]({source.link})" if source.paper else "–"
        lines.append(
            f"| `{method.name}` | {source.method} | {', '.join((paper, *([where] if where else [])))} | {method.reduction_scope} |"
        )
    return "\n".join(lines) + "\n"


def _records(found: Sequence[Method]) -> list[dict[str, str]]:
    return [
        {
            "name": method.name,
            "path": method.path,
            "reduction_scope": method.reduction_scope,
            **asdict(method.reference),
        }
        for method in found
    ]


def _losses(found: Sequence[Method]) -> str:
    rows = [("loss", "year", "venue", "reduction scope", "method")] + [
        (m.name, m.reference.year or "–", m.reference.venue or "–", m.reduction_scope or "–", m.reference.method)
        for m in found
    ]
    return table(rows, f"{len(found)} losses; each by its path, {found[0].path}")


def offered(what: str, found: Sequence[Export]) -> str:
    """A table for each package, which all have equally wide columns."""
    many = {"data": "data sets"}.get(what, what)
    if not found:
        return f"no {many} are installed: pip install distill-vision for images, distill-nlp for text"
    tables = []
    for _, group in groupby(found, key=lambda export: export.path.rpartition(".")[0]):
        part = list(group)
        rows = [(many[:-1], "takes", "what it is")] + [(e.name, _takes(e.parameters) or "–", e.summary) for e in part]
        tables.append(table(rows, f"{len(part)} {many}; each by its path, {part[0].path}"))
    return "\n\n".join(tables)


def _takes(parameters: Sequence[Parameter]) -> str:
    """What must be given, then what may be: as much of it as there is room for."""
    ordered = sorted(parameters, key=lambda parameter: parameter.default is not None)
    words = [p.name if p.default is None else f"{p.name}={p.default}" for p in ordered]
    fit = [number for number in range(len(words)) if len(", ".join([*words[:number], "…"])) <= LONGEST]
    whole = ", ".join(words)
    return whole if len(whole) <= LONGEST else ", ".join([*words[: max(fit)], "…"])


def table(rows: Sequence[Sequence[str]], end: str, width: int | None = None) -> str:
    """Aligned columns; the last one, which holds a sentence, is folded where the terminal ends.

    Args:
        rows: The heads of the columns, then the rows.
        end: The line below them.
        width: Columns of the terminal; asked if left out, and without end where there is none.
    """
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    left = sum(widths) + 2 * len(widths)
    lines = []
    for *cells, sentence in rows:
        head = "".join(f"{cell:{size}}  " for cell, size in zip(cells, widths, strict=True))
        first, *more = textwrap.wrap(sentence, max(NARROWEST, width - left)) or [""]
        lines += [(head + first).rstrip(), *(" " * left + line for line in more)]
    return "\n".join([*lines, "", end])
