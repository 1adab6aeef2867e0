"""The old file as places: nodes with their line and key path, read without importing or calling anything.

Every key that is taken and every value that is read is remembered, so `unread` finds what nothing was written for.
What is read but changes no number is omitted with a reason, which the report has.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import ConfigError, Location, Problem, did_you_mean
from ._comments import Comments
from ._given import Given
from ._nodes import TAGS, cycle, flow_text

_STRINGS = ("!join", "!pathjoin", "!expanduser", "!abspath")
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_CORE = "tag:yaml.org,2002:"
_MERGE = _CORE + "merge"


class LostError(Exception):
    """A place that cannot be converted.

    Args:
        place: The place.
        message: Why.
        hint: What to write instead.
    """

    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


class Old:
    """An old file.

    Raises:
        ConfigError: The file does not exist or is not YAML.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = str(path)
        self.read: set[int] = set()
        self.given: list[tuple[Place, Given]] = []
        self.taken: set[tuple[int, str]] = set()
        self.omitted: list[tuple[Place, str]] = []
        try:
            self.text = self.path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError([Problem(f"'{path}' cannot be read: {reason}")]) from error
        self.comments = Comments(self.text)
        self.root = Place(self._compose(), self, "")

    def _compose(self) -> Node:
        try:
            root = yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Location(self.name, mark.line + 1, mark.column + 1) if mark else None
            raise ConfigError([Problem(f"this is not YAML: {error.problem}", place)]) from error
        except yaml.YAMLError as error:
            raise ConfigError([Problem(f"this is not YAML: {str(error).splitlines()[0]}")]) from error
        if not isinstance(root, MappingNode):
            raise ConfigError([Problem("the file is not a mapping", Location(self.name, 1, 1))])
        if (node := cycle(root)) is not None:
            where = Location(self.name, node.start_mark.line + 1, node.start_mark.column + 1)
            raise ConfigError([Problem("an anchor contains an alias of itself", where)])
        return root


class Place:
    """One node of the old file."""

    def __init__(self, node: Node, old: Old, path: str) -> None:
        self.node, self.old, self.path = node, old, path

    @property
    def line(self) -> int:
        """Its line, from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def tag(self) -> str:
        """Its tag, `!join`; empty for plain data."""
        tag = str(self.node.tag)
        return "" if tag.startswith(_CORE) else tag

    @property
    def source(self) -> str:
        """Its text on one line."""
        return flow_text(self.node)

    @property
    def is_null(self) -> bool:
        """Whether it is null or empty."""
        return isinstance(self.node, ScalarNode) and self.node.tag == _CORE + "null"

    @property
    def is_mapping(self) -> bool:
        """Whether it is a mapping without a tag."""
        return isinstance(self.node, MappingNode) and not self.tag

    def below(self, node: Node, key: str) -> Place:
        """Return the place of a node below this one."""
        return Place(node, self.old, f"{self.path}.{key}" if self.path else key)

    def raw_entries(self) -> list[tuple[str, Place]]:
        """Return keys and values, merges included; nothing is marked as taken."""
        if not isinstance(self.node, MappingNode):
            raise LostError(self, "this must be a mapping")
        own: list[tuple[str, Place]] = []
        merged: list[tuple[str, Place]] = []
        for key_node, value in self.node.value:
            if key_node.tag == _MERGE:
                sources = value.value if isinstance(value, SequenceNode) else [value]
                merged += [pair for source in sources for pair in self.below(source, "<<").raw_entries()]
                continue
            key = self.below(key_node, "").text()
            if key in dict(own) and flow_text(dict(own)[key].node) == flow_text(value):
                continue  # the same twice
            if key in dict(own):
                raise LostError(self.below(key_node, key), f"the key '{key}' occurs twice", "keep one of them")
            own.append((key, self.below(value, key)))
        return [*own, *((key, place) for key, place in merged if key not in dict(own))]

    def entries(self) -> dict[str, Place]:
        """Return keys and values of a mapping, all taken; keys that begin with `_` are omitted."""
        found = {key: place for key, place in self.raw_entries() if not key.startswith("_")}
        self.old.taken.update((id(self.node), key) for key in found)
        return found

    def items(self) -> list[Place]:
        """Return the elements of a list; a null has none."""
        if self.is_null:
            return []
        if not isinstance(self.node, SequenceNode):
            raise LostError(self, "this must be a list")
        return [self.below(node, str(index)) for index, node in enumerate(self.node.value)]

    def take(self, *keys: str) -> Place | None:
        """Return the value of the first of some spellings of a key; None if it is missing or null."""
        found = dict(self.raw_entries())
        chosen = next((key for key in keys if key in found), None)
        if chosen is None:
            return None
        self.old.taken.add((id(self.node), chosen))
        return None if found[chosen].is_null else found[chosen]

    def need(self, *keys: str) -> Place:
        """Return the value of a key that must be set."""
        found = self.take(*keys)
        if found is None:
            given = [key for key, _ in self.raw_entries()]
            close = next((hint for key in keys if (hint := did_you_mean(key, given, otherwise=""))), "")
            raise LostError(self, f"the key '{keys[0]}' is missing", close)
        return found

    def mapping(self, *keys: str) -> Place:
        """Return the mapping of a key; an empty one if it is missing or null."""
        found = self.take(*keys)
        if found is None:
            return Place(MappingNode(_CORE + "map", [], self.node.start_mark, self.node.end_mark), self.old, self.path)
        if not found.is_mapping:
            raise LostError(found, f"this must be a mapping, and is `{found.source}`")
        return found

    def text(self) -> str:
        """Return a string, with `!join` and its kin applied."""
        if self.tag in _STRINGS:
            return self._joined()
        value = self.plain()
        if isinstance(value, (dict, list)):
            raise LostError(self, "this must be a string")
        return str(value)

    def number(self) -> int | float:
        """Return a finite number; also one that only newer versions of YAML read as a number, `1e-7`."""
        value = self.plain()
        if isinstance(value, str) and _EXPONENT.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise LostError(self, f"this must be a number, and is `{self.source}`")
        return value

    def integer(self) -> int:
        """Return an integer."""
        value = self.plain()
        if isinstance(value, bool) or not isinstance(value, int):
            raise LostError(self, f"this must be an integer, and is `{self.source}`")
        return value

    def given(self) -> Given:
        """Return a mapping as plain data that remembers which of its keys were read."""
        value = self.plain()
        if not isinstance(value, Given):
            raise LostError(self, f"this must be a mapping, and is `{self.source}`")
        return value

    def flag(self) -> bool:
        """Return true or false."""
        value = self.plain()
        if not isinstance(value, bool):
            raise LostError(self, f"this must be true or false, and is `{self.source}`")
        return value

    def _joined(self) -> str:
        self.old.read.add(id(self.node))
        parts = [self.below(node, "").text() for node in self.node.value] if isinstance(self.node.value, list) else []
        if self.tag == "!join":
            return "".join(parts)
        return os.path.join(*parts) if self.tag == "!pathjoin" else str(self.node.value)  # noqa: PTH118

    def plain(self) -> Any:
        """Return plain data: numbers, strings, lists and mappings.

        Raises:
            LostError: It names an object.
        """
        if self.tag in _STRINGS:
            return self._joined()
        if self.tag:
            raise LostError(self, f"'{self.tag}' cannot be used here" if self.tag in TAGS else self._unknown_tag())
        if isinstance(self.node, MappingNode):
            values = {key: place.plain() for key, place in self.entries().items()}
            given = Given(values, self._error_about, lambda key, reason: dict(self.raw_entries())[key].omit(reason))
            self.old.given.append((self, given))
            return given
        if isinstance(self.node, SequenceNode):
            return [place.plain() for place in self.items()]
        self.old.read.add(id(self.node))
        try:
            value = yaml.SafeLoader("").construct_object(self.node)
        except (yaml.YAMLError, ValueError) as error:
            raise LostError(self, f"'{self.node.value}' cannot be read: {error}") from error
        if value is not None and not isinstance(value, (str, int, float)):
            raise LostError(
                self, f"'{self.node.value}' is a {type(value).__name__}", "put it in quotes, or write a number"
            )
        return value

    def _error_about(self, key: str, message: str) -> LostError:
        return LostError(dict(self.raw_entries()).get(key, self), message)

    def _unknown_tag(self) -> str:
        return f"'{self.tag}' is not a tag of torchdistill; {did_you_mean(self.tag, TAGS)}"

    def read(self) -> None:
        """Remember that its tag, or its value, is converted."""
        self.old.read.add(id(self.node))

    def omit(self, reason: str) -> None:
        """Mark the place and all below as read, and report that it changes no number.

        Args:
            reason: Why it changes none.
        """
        self.old.omitted.append((self, f"`{self.source}` is omitted: {reason}"))
        self.ignore()

    def ignore(self) -> None:
        """Mark the place and all below as read, because it is reported as a whole."""
        stack = [self.node]
        seen: set[int] = set()
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            self.old.read.add(id(node))
            if isinstance(node, MappingNode):
                self.old.taken.update((id(node), str(key.value)) for key, _ in node.value)
                stack += [value for _, value in node.value]
            elif isinstance(node, SequenceNode):
                stack += node.value
