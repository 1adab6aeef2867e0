"""A dataclass → the JSON Schema of the files that become it, for editors: completion, descriptions, misspelt keys.

It reads the same type hints as `_schema.py`, and the descriptions from the docstrings. An editor sees a tagged value
without its tag, so where an object may stand, anything may; where a text may, a list may too (`!join`); and a file's name
may stand for a mapping or a list (`!include`). A file that has a `base` may leave to it whatever is not in a list.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import typing
from typing import Any, Literal

from ..ranges import Range, without_range
from ._hints import MAPPINGS, SEQUENCES, members
from ._schema import is_required

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCRATCH = "^_"

Schema = dict[str, Any]

_SCALARS: dict[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
_INCLUDED = {"type": "string", "pattern": r"\.ya?ml$", "description": "`!include FILE`"}
_JOINED = {"type": "array", "description": "`!join [...]` or `!pathjoin [...]`"}
_BASE = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    "description": "A file, or several, that this one is laid over; relative to this file.",
}


def json_schema(record: type) -> Schema:
    """The schema, draft 2020-12, of a file that is decoded as `record`.

    Keys that begin with `_` are scratch space and not looked at.

    Args:
        record: A dataclass.
    """
    definitions: dict[str, Schema] = {}
    top = _record(record, definitions, whole=False)
    top["properties"] = {"base": _BASE, **top["properties"]}
    top["anyOf"] = [{"required": ["base"]}, {"required": _required(record)}]
    return {"$schema": DIALECT, "title": record.__name__, **top, "$defs": definitions}


def descriptions(record: type) -> dict[str, str]:
    """Field → what the `Attributes` of the docstring say about it.

    >>> class Point:
    ...     '''A place.
    ...
    ...     Attributes:
    ...         x: To the right,
    ...             in metres.
    ...         y: Up.
    ...     '''
    >>> descriptions(Point)
    {'x': 'To the right, in metres.', 'y': 'Up.'}
    """
    section = inspect.cleandoc(record.__doc__ or "").partition("\nAttributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _record(record: type, definitions: dict[str, Schema], *, whole: bool) -> Schema:
    """The schema of a mapping with the keys of a dataclass; a part that a base completes has none that it must have."""
    hints, told = typing.get_type_hints(record, include_extras=True), descriptions(record)
    properties = {}
    for field in dataclasses.fields(record):
        properties[field.name] = _of(hints[field.name], definitions, whole=whole)
        if field.name in told:
            properties[field.name]["description"] = told[field.name]
        if isinstance(field.default, (bool, int, float, str)):
            properties[field.name]["default"] = field.default
    return {
        "description": inspect.cleandoc(record.__doc__ or "").partition("\n\n")[0],
        "type": "object",
        "properties": properties,
        "patternProperties": {SCRATCH: {}},
        "additionalProperties": False,
        **({"required": _required(record)} if whole and _required(record) else {}),
    }


def _required(record: type) -> list[str]:
    return [field.name for field in dataclasses.fields(record) if is_required(field)]


def _of(hint: Any, definitions: dict[str, Schema], *, whole: bool) -> Schema:
    """The schema of a value that fits `hint`; `whole` inside a list, which no base completes."""
    found: list[Schema] = []
    for member in members(hint):
        if not (isinstance(member, type) and issubclass(member, enum.Enum)):
            found += [schema for schema in _member(member, definitions, whole) if schema not in found]
    if {} in found:
        return {}
    return found[0] if len(found) == 1 else {"anyOf": found}


def _member(hint: Any, definitions: dict[str, Schema], whole: bool) -> list[Schema]:
    hint, bounds = without_range(hint)
    origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in _SCALARS:
        return [{"type": _SCALARS[hint], **_bounds(bounds)}, *([_JOINED] if hint is str else [])]
    if origin is Literal:
        return [{"enum": list(args)}]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}  # its own place, should it lead back to itself
            definitions[hint.__name__].update(_record(hint, definitions, whole=whole))
        return [{"$ref": f"#/$defs/{hint.__name__}"}, _INCLUDED]
    if origin in MAPPINGS:
        inner = _of(args[1], definitions, whole=whole) if args else {}
        mapping = {"type": "object", "patternProperties": {SCRATCH: {}}, "additionalProperties": inner}
        return [mapping, _INCLUDED]
    if origin in SEQUENCES:
        return [{"type": "array", "items": _of(args[0], definitions, whole=True) if args else {}}, _INCLUDED]
    return [{}]


def _bounds(bounds: Range | None) -> Schema:
    """The keywords of a range."""
    if bounds is None:
        return {}
    keywords = {
        "minimum": bounds.min,
        "maximum": bounds.max,
        "exclusiveMinimum": bounds.above,
        "exclusiveMaximum": bounds.below,
    }
    return {keyword: bound for keyword, bound in keywords.items() if bound is not None}
