"""The page of methods: a card for each loss, from the docstring of its file."""

from __future__ import annotations

import ast
import importlib
import inspect
from itertools import groupby
from pathlib import Path

from distill_core.cli.inspect._methods import methods as all_methods

from .docstrings import escaped, fenced

HEAD = ("Paper:", "Authors:", "Venue:", "Year:", "Link:")


def page() -> str:
    """Return the page as Markdown."""
    parts = [
        "# Methods",
        "Each loss is a class that a YAML file names by its import path. Sorted by the name of the class.",
    ]
    for (path, _), group in groupby(all_methods(), key=lambda method: (_file(method.path), method.reference)):
        classes = list(group)
        source = classes[0].reference
        where = " ".join(filter(None, (source.venue, source.year)))
        paper = f"[{escaped(source.paper)}]({source.link}), {escaped(source.authors)}, {where}" if source.paper else ""
        names = " · ".join(f"`{method.path}`" for method in classes)
        parts += [
            f"## {escaped(source.method)}",
            f"{escaped(source.idea[:1].upper() + source.idea[1:])}.",
            paper,
            names,
            _body(path),
        ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _file(path: str) -> Path:
    module, _, name = path.rpartition(".")
    return Path(inspect.getfile(getattr(importlib.import_module(module), name)))


def _body(path: Path) -> str:
    """Return the docstring of a file without its first line and the lines about the paper."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    lines = [line for line in docstring.split("\n")[1:] if not line.startswith(HEAD)]
    return fenced("\n".join(lines).strip("\n"))
