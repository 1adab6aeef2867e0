"""Strict decoding of mappings into dataclasses: no unknown key, no missing key, every value of its type.

The types are read from the dataclass itself. The same code checks without building (tagged values are unknown) and
decodes while building.
"""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import DistillError, Problem, did_you_mean
from ..ranges import without_range
from ._hints import MAPPINGS, SEQUENCES, expected, fits, members, words
from ._nodes import describe, describe_value, is_untagged, join, pairs, scalar_value
from ._problems import TrustProblem


class _Unknown(enum.Enum):
    UNKNOWN = "unknown"


UNKNOWN = _Unknown.UNKNOWN
"""A value that is wrong, or that only building determines."""

_OBJECT_HINT = "write '!import_call:NAME {...}', or '!import_partial:NAME {...}' to call it later"


class _Document(Protocol):
    def located(self, problem: Problem, node: Node, key: str = "") -> Problem: ...


class Decoder:
    """Decodes nodes by type hints.

    Args:
        document: Locates problems.
        build: Builds a tagged node; None to check only.
        on_field: Called with every field of a record: its name, node and key path.
    """

    def __init__(
        self,
        document: _Document,
        build: Callable[[Node], Any] | None = None,
        on_field: Callable[[str, Node, str], None] | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self._document, self._build, self._on_field = document, build, on_field

    def decode(self, node: Node, hint: Any, key: str = "") -> Any:
        """Return the value of a node that should match `hint`; `UNKNOWN` if it does not match or is not built."""
        if not is_untagged(node):
            if self._build is None:
                return UNKNOWN
            value = self._build(node)
            if not fits(value, hint):
                return self._mismatch(node, hint, key, describe_value(value), value)
            return self._in_range(node, value, hint, key)
        member = _member(node, hint)
        if member is None:
            return self._mismatch(node, hint, key, describe(node), getattr(node, "value", None))
        return self._as(node, member, key)

    def _as(self, node: Node, hint: Any, key: str) -> Any:
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self._record(node, hint, key)
        origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        if origin in MAPPINGS:
            inner = args[1] if args else Any
            found = {name: self.decode(value, inner, join(key, name)) for name, (_, value) in pairs(node).items()}
            return UNKNOWN if UNKNOWN in found.values() else found
        if origin in SEQUENCES and isinstance(node, SequenceNode):
            inner = args[0] if args else Any
            items = [self.decode(item, inner, join(key, str(index))) for index, item in enumerate(node.value)]
            return UNKNOWN if any(item is UNKNOWN for item in items) else items
        if isinstance(node, ScalarNode):
            value, (bare, _) = scalar_value(node), without_range(hint)
            return self._in_range(node, float(value) if bare is float and isinstance(value, int) else value, hint, key)
        return self._build(node) if self._build else UNKNOWN

    def _record(self, node: Node, record: type, key: str) -> Any:
        """Decode a mapping as an instance of a dataclass."""
        fields = {key_of(field): field for field in dataclasses.fields(record)}
        hints = typing.get_type_hints(record, include_extras=True)
        found = pairs(node)
        values: dict[str, Any] = {}
        for name, (name_node, value) in found.items():
            if name not in fields:
                self._unknown(name_node, name, record, fields, key)
                continue
            values[fields[name].name] = self.decode(value, hints[fields[name].name], join(key, name))
            if self._on_field:
                self._on_field(name, value, join(key, name))
        missing = [name for name, field in fields.items() if name not in found and is_required(field)]
        for name in missing:
            self._add(node, key, Problem(f"{_called(record)} needs the key '{name}'", id="missing-key"))
        if missing or len(values) < len(found) or UNKNOWN in values.values():
            return UNKNOWN
        try:
            return record(**values)
        except (ValueError, DistillError) as error:  # its values do not fit together
            message, hint = (error.message, error.hint) if isinstance(error, DistillError) else (str(error), "")
            self._add(node, key, Problem(message, hint=hint, id="settings-refused"))
            return UNKNOWN

    def _unknown(self, node: Node, name: str, record: type, fields: Mapping[str, Any], key: str) -> None:
        if name == "trust" and not key:
            message = "'trust' cannot be set in a file"
            hint = "write '--trust PACKAGE' on the command line"
            self._add(node, name, TrustProblem(message, hint=hint, id="trust-in-file"))
        elif new := getattr(record, "RENAMED_KEYS", {}).get(name):
            message = f"the key '{name}' of {_called(record)} is now '{new}'"
            self._add(node, join(key, name), Problem(message, hint=f"write '{new}'", id="renamed-key"))
        else:
            message = f"{_called(record)} has no key '{name}'"
            problem = Problem(message, hint=did_you_mean(name, fields), id="unknown-key")
            self._add(node, join(key, name), problem)

    def _add(self, node: Node, key: str, problem: Problem) -> None:
        self.problems.append(self._document.located(problem, node, key))

    def _in_range(self, node: Node, value: Any, hint: Any, key: str) -> Any:
        """Return the value of a scalar that matches `hint`; `UNKNOWN` if it is a number out of range."""
        for member in members(hint):
            bare, bounds = without_range(member)
            if bounds is None or isinstance(value, bool) or not isinstance(value, int | float) or not fits(value, bare):
                continue
            given = scalar_value(node) if isinstance(node, ScalarNode) and is_untagged(node) else value
            if refusal := bounds.refusal(_subject(key), given if isinstance(given, int | float) else value):
                self._add(node, key, Problem(refusal, id="out-of-range"))
                return UNKNOWN
        return value

    def _mismatch(self, node: Node, hint: Any, key: str, described: str, value: object) -> Any:
        fix = _OBJECT_HINT if _wants_object(hint) else ""
        if isinstance(value, str) and (choices := _literal(hint)):
            fix = did_you_mean(value, choices, otherwise="")
        message = f"{_subject(key)} takes {expected(hint)}, not {described}"
        self._add(node, key, Problem(message, hint=fix, id="wrong-type"))
        return UNKNOWN


def _subject(key: str) -> str:
    """Return the subject of a message about the value at a key path."""
    name = key.rpartition(".")[2]
    return f"element {name}" if name.isdecimal() else f"'{name}'" if name else "this"


def _called(record: type) -> str:
    name = record.__name__.lower()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def key_of(field: dataclasses.Field[Any]) -> str:
    """Return the key of a field: its name, without the `_` of a Python keyword (`as_`)."""
    return field.name.removesuffix("_")


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Return whether a field has no default."""
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _member(node: Node, hint: Any) -> Any:
    """Return the member of a union that matches the kind of an untagged node."""
    return next((member for member in members(hint) if _fits_node(node, member)), None)


def _fits_node(node: Node, hint: Any) -> bool:
    if hint is Any:
        return True
    origin = typing.get_origin(hint) or hint
    if isinstance(node, MappingNode):
        return origin in MAPPINGS or dataclasses.is_dataclass(hint)
    if isinstance(node, SequenceNode):
        return origin in SEQUENCES
    return isinstance(node, ScalarNode) and not dataclasses.is_dataclass(hint) and fits(scalar_value(node), hint)


def _wants_object(hint: Any) -> bool:
    return "an object" in [word for member in members(hint) for word in words(member)]


def _literal(hint: Any) -> list[str]:
    literals = [member for member in members(hint) if typing.get_origin(member) is Literal]
    return [str(item) for member in literals for item in typing.get_args(member)]
