"""Text → node graph, with everything that is doubtful or dangerous in YAML refused.

The events of the parser are read one by one, so a file that is nested too deeply or that unfolds into millions of
nodes is refused before anything recursive or large has happened.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import Problem, did_you_mean
from ._nodes import (
    INT,
    MAP,
    SEQ,
    STR,
    describe,
    is_untagged,
    join,
    location_of,
    problem_at,
    resolve,
    scalar_value,
    set_anchor,
)
from ._scanner import Scanner, syntax_problem, unreadable

Event = Any  # yaml's stubs say of every field of an event that it may be missing

MAX_DEPTH = 100
MAX_NODES = 100_000
MAX_BYTES = 1_000_000
LONGEST_KEY = 200


class UnreadableError(Exception):
    """Nothing more can be read from this text; the last problem says why."""


@dataclass
class _Open:
    """A list or mapping whose end has not been read yet."""

    node: MappingNode | SequenceNode
    key: Node | None = None
    size: int = 1
    depth: int = 0


class Composer:
    """Composes one text; `problems` collects what is wrong with it.

    Args:
        text: The YAML text.
        name: The file's name, which the marks carry.
        sources: The texts by name, for the lines shown with a problem.
    """

    def __init__(self, text: str, name: str, sources: Mapping[str, str]) -> None:
        self.text, self.name, self.sources = text, name, sources
        self.problems: list[Problem] = []
        self._root: Node | None = None
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._extent: dict[int, tuple[int, int]] = {}

    def compose(self) -> Node | None:
        """The root node; None if the text is empty or cannot be read."""
        try:
            self._read(Scanner(self.text, self.name))
        except UnreadableError:
            return None
        except yaml.reader.ReaderError as error:
            self.problems.append(unreadable(error, self.text, self.name))
            return None
        except yaml.MarkedYAMLError as error:
            self.problems.append(syntax_problem(error, self.sources))
            return None
        return self._root

    def _read(self, loader: Scanner) -> None:
        documents = 0
        while (event := loader.get_event()) is not None:  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "a second document begins here", hint="one file holds one document: remove '---'")
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end(event)

    def _scalar(self, event: Event) -> None:
        tag = event.tag
        if tag is None or tag == "!":
            tag = resolve(event.value, plain=event.implicit[0] and tag is None)
        node = ScalarNode(tag, event.value, event.start_mark, event.end_mark, style=event.style)
        if is_untagged(node):
            try:
                scalar_value(node)
            except ValueError as error:
                is_long = resolve(node.value) == INT and len(node.value) > sys.get_int_max_str_digits() > 0
                self._problem(node, "a number with that many digits cannot be read" if is_long else str(error))
                node.tag = STR
        self._anchor(event, node)
        self._add(node, 1, 0)

    def _begin(self, event: Event) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        tag = event.tag if event.tag not in (None, "!") else MAP if mapping else SEQ
        kind = MappingNode if mapping else SequenceNode
        node = kind(tag, [], event.start_mark, event.end_mark, flow_style=event.flow_style)
        self._anchor(event, node)
        self._stack.append(_Open(node))
        if len(self._stack) > MAX_DEPTH:
            self._stop(event, f"nested more than {MAX_DEPTH} levels deep")

    def _end(self, event: Event) -> None:
        frame = self._stack.pop()
        frame.node.end_mark = event.end_mark
        if isinstance(frame.node, MappingNode):
            self._finish_mapping(frame.node)
        self._add(frame.node, frame.size, frame.depth + 1)

    def _alias(self, event: Event) -> None:
        node: Any = self._anchors.get(event.anchor)
        if node is None:
            self._stop(event, f"'*{event.anchor}' names no anchor before it", hint=self._anchor_hint(event.anchor))
        if id(node) not in self._extent:
            self._stop(event, f"'*{event.anchor}' stands inside what it names")
        self._add(node, *self._extent[id(node)], event)

    def _anchor_hint(self, name: str) -> str:
        return did_you_mean(name, self._anchors) if self._anchors else f"write '&{name}' before what is meant"

    def _anchor(self, event: Event, node: Node) -> None:
        if event.anchor is None:
            return
        if event.anchor in self._anchors:
            first = location_of(self._anchors[event.anchor].start_mark)
            self._problem(event, f"the anchor '&{event.anchor}' stands already at {first}", hint="give it another name")
        set_anchor(node, event.anchor)
        self._anchors[event.anchor] = node

    def _add(self, node: Node, size: int, depth: int, at: Event = None) -> None:
        """Hang a finished node below the open one."""
        self._extent[id(node)] = (size, depth)
        if depth > MAX_DEPTH:
            self._stop(at or node, f"nested more than {MAX_DEPTH} levels deep")
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        frame.size += size
        frame.depth = max(frame.depth, depth)
        if frame.size > MAX_NODES:
            self._stop(at or node, f"unfolds into more than {MAX_NODES} nodes", hint="aliases of aliases multiply")
        if isinstance(frame.node, SequenceNode):
            frame.node.value.append(node)
        elif frame.key is None:
            frame.key = node
            self._check_key(node)
        else:
            frame.node.value.append((frame.key, node))
            frame.key = None

    def _check_key(self, key: Node) -> None:
        if isinstance(key, ScalarNode) and key.tag == STR:
            return
        plain = isinstance(key, ScalarNode) and is_untagged(key)
        hint = f"write it in quotes: '{key.value}'" if plain else ""
        self._problem(key, f"a key must be a string, not {describe(key)}", hint=hint)

    def _finish_mapping(self, node: MappingNode) -> None:
        """Refuse duplicate keys and unfold the merge key `<<`."""
        first: dict[str, Node] = {}
        own, merged = [], []
        for key, value in node.value:
            if not (isinstance(key, ScalarNode) and key.tag == STR):
                continue
            if key.value == "<<" and key.style is None:
                merged += self._sources_of_merge(value)
            elif key.value in first:
                where = location_of(first[key.value].start_mark)
                self._problem(key, f"the key '{key.value}' stands already at {where}")
            else:
                first[key.value] = key
                own.append((key, value))
        inherited: dict[str, tuple[Node, Node]] = {}
        for source in merged:
            for key, value in source.value:
                if key.value not in first:
                    inherited.setdefault(key.value, (key, value))
        node.value = [*inherited.values(), *own]

    def _sources_of_merge(self, value: Node) -> list[MappingNode]:
        candidates = value.value if isinstance(value, SequenceNode) else [value]
        for wrong in (node for node in candidates if not isinstance(node, MappingNode)):
            self._problem(wrong, f"'<<' merges mappings, not {describe(wrong)}")
        return [node for node in candidates if isinstance(node, MappingNode)]

    def _path(self) -> str:
        path = ""
        for frame in self._stack:
            if isinstance(frame.node, SequenceNode):
                path = join(path, str(len(frame.node.value)))
            elif isinstance(frame.key, ScalarNode):
                path = join(path, frame.key.value)
        return path

    def _problem(self, at: Event, message: str, hint: str = "") -> None:
        key = self._path()
        key = key if len(key) <= LONGEST_KEY else ""
        self.problems.append(problem_at(at.start_mark, self.sources, message, key=key, hint=hint))

    def _stop(self, at: Event, message: str, hint: str = "") -> None:
        self._problem(at, message, hint)
        raise UnreadableError
