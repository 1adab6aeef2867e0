"""JSON Schema of the files that decode to a dataclass, for editors: completion, descriptions, misspelt keys.

The schema is derived from the type hints that `_schema.py` reads, and from the docstrings. An editor sees a tagged value
without its tag. The schema therefore accepts anything in place of an object, a list in place of a string (`!join`), and a
file name in place of a mapping or a list (`!include`). A file with a `base` may omit every key outside a list.
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
from ._schema import is_required, key_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCRATCH = "^_"

Schema = dict[str, Any]

_SCALARS: dict[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
_INCLUDED = {"type": "string", "pattern": r"\.ya?ml$", "description": "`!include FILE`"}
_JOINED = {"type": "array", "description": "`!join [...]` or `!pathjoin [...]`"}
_BASE = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    "description": "One file or several that this file is merged over; relative to this file.",
}


def json_schema(record: type) -> Schema:
    """Return the JSON Schema (draft 2020-12) of a file that is decoded as `record`.

    Keys that begin with `_` are scratch space and not checked.

    Args:
        record: A dataclass.
    """
    definitions: dict[str, Schema] = {}
    top = _record(record, definitions, complete=False)
    top["properties"] = {"base": _BASE, **top["properties"]}
    top["anyOf"] = [{"required": ["base"]}, {"required": _required(record)}]
    return {"$schema": DIALECT, "title": record.__name__, **top, "$defs": definitions}


def descriptions(record: type) -> dict[str, str]:
    """Return the descriptions of fields in the `Attributes` section of the docstring.

    >>> class Point:
    ...     '''A point.
    ...
    ...     Attributes:
    ...         x: Distance to the right,
    ...             in metres.
    ...         y: Up.
    ...     '''
    >>> descriptions(Point)
    {'x': 'Distance to the right, in metres.', 'y': 'Up.'}
    """
    section = inspect.cleandoc(record.__doc__ or "").partition("\nAttributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _record(record: type, definitions: dict[str, Schema], *, complete: bool) -> Schema:
    """Return the schema of a mapping with the keys of a dataclass; `complete` if no base can add required keys."""
    hints, described = typing.get_type_hints(record, include_extras=True), descriptions(record)
    properties = {}
    for field in dataclasses.fields(record):
        properties[key_of(field)] = _of(hints[field.name], definitions, complete=complete)
        if field.name in described:
            properties[key_of(field)]["description"] = described[field.name]
        if isinstance(field.default, (bool, int, float, str)):
            properties[key_of(field)]["default"] = field.default
    return {
        "description": inspect.cleandoc(record.__doc__ or "").partition("\n\n")[0],
        "type": "object",
        "properties": properties,
        "patternProperties": {SCRATCH: {}},
        "additionalProperties": False,
        **({"required": _required(record)} if complete and _required(record) else {}),
    }


def _required(record: type) -> list[str]:
    return [key_of(field) for field in dataclasses.fields(record) if is_required(field)]


def _of(hint: Any, definitions: dict[str, Schema], *, complete: bool) -> Schema:
    """Return the schema of a value that matches `hint`; `complete` inside a list, which no base extends."""
    found: list[Schema] = []
    for member in members(hint):
        if not (isinstance(member, type) and issubclass(member, enum.Enum)):
            found += [schema for schema in _member(member, definitions, complete) if schema not in found]
    if {} in found:
        return {}
    return found[0] if len(found) == 1 else {"anyOf": found}


def _member(hint: Any, definitions: dict[str, Schema], complete: bool) -> list[Schema]:
    hint, bounds = without_range(hint)
    origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in _SCALARS:
        return [{"type": _SCALARS[hint], **_bounds(bounds)}, *([_JOINED] if hint is str else [])]
    if origin is Literal:
        return [{"enum": list(args)}]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}  # ends the recursion if it refers to itself
            definitions[hint.__name__].update(_record(hint, definitions, complete=complete))
        return [{"$ref": f"#/$defs/{hint.__name__}"}, _INCLUDED]
    if origin in MAPPINGS:
        inner = _of(args[1], definitions, complete=complete) if args else {}
        mapping = {"type": "object", "patternProperties": {SCRATCH: {}}, "additionalProperties": inner}
        return [mapping, _INCLUDED]
    if origin in SEQUENCES:
        return [{"type": "array", "items": _of(args[0], definitions, complete=True) if args else {}}, _INCLUDED]
    return [{}]


def _bounds(bounds: Range | None) -> Schema:
    """Return the schema keywords of a range."""
    if bounds is None:
        return {}
    keywords = {
        "minimum": bounds.min,
        "maximum": bounds.max,
        "exclusiveMinimum": bounds.above,
        "exclusiveMaximum": bounds.below,
    }
    return {keyword: bound for keyword, bound in keywords.items() if bound is not None}
