"""The page of keys and tags: the dataclasses that a YAML file fills, and the tags that build objects."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator

from distill_core import config, experiment

from .docstrings import escaped, fenced, fields, first_line, markdown

RECORDS = (
    "Experiment",
    "Stage",
    "Term",
    "Metric",
    "Evaluation",
    "CacheSettings",
    "SourceSettings",
    "DDPSettings",
    "FSDPSettings",
)


def page() -> str:
    """Return the page as Markdown."""
    parts = [
        "# Keys and tags",
        "An experiment is a mapping with the keys of `Experiment`. The other records are its parts.",
    ]
    for name in RECORDS:
        record = getattr(experiment, name)
        parts += [f"## {name}", escaped(first_line(record.__doc__)), *_keys(record)]
    parts += (
        ["## Tags", fenced(inspect.getdoc(config.tags_documentation) or "")]
        if hasattr(config, "tags_documentation")
        else _tags()
    )
    return "\n\n".join([*parts, *_files()]) + "\n"


def _files() -> list[str]:
    """Return the section about several files."""
    from distill_core.config import _assemble

    _, _, text = (inspect.getdoc(_assemble) or "").partition("\n\n")
    return ["## Bases, includes and changes", markdown(text)]


def _keys(record: type) -> Iterator[str]:
    described = fields(inspect.getdoc(record))
    for field in dataclasses.fields(record):
        default = "" if field.default is dataclasses.MISSING else f", default `{field.default!r}`"
        type_name = field.type if isinstance(field.type, str) else str(field.type)
        yield f"`{field.name}` (`{type_name}`{default})\n: {escaped(' '.join(described.get(field.name, '').split())) or '–'}"


def _tags() -> list[str]:
    from distill_core.config import _tags

    head, _, spellings = (inspect.getdoc(_tags) or "").partition("\n\n")
    return ["## Tags", escaped(head), f"```text\n{spellings}\n```"]
