"""The new file as plain data with calls and anchors, and its text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 120
_PLAIN = re.compile(r"[A-Za-z_./~][\w./~ +*?\[\]-]*(:[\w.]+)?")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"}


@dataclass(frozen=True)
class Call:
    """`!import_call:path {…}`, or another tag with a path."""

    path: str
    args: Mapping[str, Any] = field(default_factory=dict)
    tag: str = "import_call"


@dataclass(frozen=True)
class Anchor:
    """`&name value`."""

    name: str
    value: Any


@dataclass(frozen=True)
class Alias:
    """`*name`."""

    name: str


class Block(dict[str, Any]):
    """A mapping that is never written on one line."""


@dataclass(frozen=True)
class Commented:
    """A value with lines of comment above it."""

    value: Any
    lines: Sequence[str]


def scalar(value: Any) -> str:
    """Return a scalar as YAML 1.2.

    >>> [scalar(value) for value in (None, True, 1e-06, "student.layer1:in", "no", "1.0", math.inf)]
    ['null', 'true', '1e-06', 'student.layer1:in', "'no'", "'1.0'", '.inf']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    if not text.isprintable():
        return json.dumps(text)
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS and not re.fullmatch(r"[.\d].*", text)
    return text if plain and not set(text) & set("[]*?") else "'" + text.replace("'", "''") + "'"


def flow(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, Commented):
        return flow(value.value)
    if isinstance(value, Anchor):
        return f"&{value.name} {flow(value.value)}"
    if isinstance(value, Alias):
        return f"*{value.name}"
    if isinstance(value, Call):
        return f"!{value.tag}:{value.path}" + ("" if value.tag == "import_get" else f" {flow(dict(value.args))}")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(value)


def _is_block(value: Any) -> bool:
    """Return whether something in a value must not be on one line."""
    if isinstance(value, (Block, Commented)):
        return True
    if isinstance(value, Anchor):
        return _is_block(value.value)
    inner = value.args.values() if isinstance(value, Call) else value.values() if isinstance(value, Mapping) else value
    return any(_is_block(item) for item in inner) if isinstance(value, (Call, Mapping, list, tuple)) else False


def text(root: Mapping[str, Any]) -> str:
    """Return a mapping as a file; the entries of its top are separated by empty lines if they take several lines."""
    pieces = ["\n".join(_entry(key, value, 0)) for key, value in root.items()]
    result = ""
    for before, piece in zip(["", *pieces], pieces, strict=False):
        result += ("\n" if before and ("\n" in before or "\n" in piece) else "") + piece + "\n"
    return result


def _entry(key: str, value: Any, indent: int) -> list[str]:
    return _value(" " * indent + f"{key}:", value, indent)


def _value(head: str, value: Any, indent: int) -> list[str]:
    """Return the lines of a value after `head`, its children indented by two more."""
    if isinstance(value, Commented):
        return [*(" " * indent + f"# {line}" for line in value.lines), *_value(head, value.value, indent)]
    if not _is_block(value) and len(line := f"{head} {flow(value)}") <= WIDTH:
        return [line]
    if isinstance(value, Anchor):
        return _value(f"{head} &{value.name}", value.value, indent)
    if isinstance(value, Call):
        return (
            _value(f"{head} !{value.tag}:{value.path}", Block(value.args), indent)
            if value.args
            else [f"{head} {flow(value)}"]
        )
    if isinstance(value, Mapping):
        return (
            [head, *(line for key, item in value.items() for line in _entry(key, item, indent + 2))]
            if value
            else [f"{head} {{}}"]
        )
    if isinstance(value, (list, tuple)):
        return [head, *(line for item in value for line in _item(item, indent + 2))]
    return [f"{head} {flow(value)}"]


def _item(value: Any, indent: int) -> list[str]:
    """Return the lines of an element of a list."""
    if isinstance(value, Commented):
        return [*(" " * indent + f"# {line}" for line in value.lines), *_item(value.value, indent)]
    if isinstance(value, Mapping) and (_is_block(value) or len(flow(value)) + indent + 2 > WIDTH):
        lines = [line for key, item in value.items() for line in _entry(key, item, indent + 2)]
        first = next(index for index, line in enumerate(lines) if not line.lstrip().startswith("#"))
        lines[first] = " " * indent + "- " + lines[first].lstrip()
        return [*(line[2:] if index < first else line for index, line in enumerate(lines))]
    return _value(" " * indent + "-", value, indent)
