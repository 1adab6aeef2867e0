"""Composition of text into a node graph; ambiguous and dangerous parts of YAML are refused.

The parser's events are read one by one, so a file that is nested too deeply or that expands into millions of nodes is
refused before any recursion or large allocation.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

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
    resolve_tag,
    scalar_value,
    set_anchor,
)
from ._problems import located, location_of
from ._scanner import Scanner, syntax_problem, unreadable

Event = Any  # yaml's stubs declare every field of an event as optional

MAX_DEPTH = 100
MAX_NODES = 100_000
MAX_BYTES = 1_000_000
LONGEST_KEY = 200
_TOO_DEEP = Problem(f"nested more than {MAX_DEPTH} levels deep", id="nested-too-deep")


class UnreadableError(Exception):
    """Nothing more can be read from this text; the last problem is the reason."""


@dataclass
class _Open:
    """A list or mapping whose end has not been read yet."""

    node: MappingNode | SequenceNode
    key: Node | None = None
    size: int = 1
    depth: int = 0


class Composer:
    """Composes one text; `problems` collects its errors.

    Args:
        text: The YAML text.
        name: The file's name, for locations.
        sources: The texts by name, for the lines shown with problems.
    """

    def __init__(self, text: str, name: str, sources: Mapping[str, str]) -> None:
        self.text, self.name, self.sources = text, name, sources
        self.problems: list[Problem] = []
        self._root: Node | None = None
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._extent: dict[int, tuple[int, int]] = {}

    def compose(self) -> Node | None:
        """Return the root node; None if the text is empty or cannot be read."""
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
                    hint = "remove '---': a file holds one document"
                    self._stop(event, Problem("a second document begins here", hint=hint, id="second-document"))
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
            tag = resolve_tag(event.value, plain=event.implicit[0] and tag is None)
        node = ScalarNode(tag, event.value, event.start_mark, event.end_mark, style=event.style)
        if is_untagged(node):
            try:
                scalar_value(node)
            except ValueError as error:
                is_long = resolve_tag(node.value) == INT and len(node.value) > sys.get_int_max_str_digits() > 0
                too_long = Problem("the number has too many digits", id="number-too-long")
                self._add_problem(node, too_long if is_long else Problem(str(error), id="scalar-malformed"))
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
            self._stop(event, _TOO_DEEP)

    def _end(self, event: Event) -> None:
        frame = self._stack.pop()
        frame.node.end_mark = event.end_mark
        if isinstance(frame.node, MappingNode):
            self._finish_mapping(frame.node)
        self._add(frame.node, frame.size, frame.depth + 1)

    def _alias(self, event: Event) -> None:
        node: Any = self._anchors.get(event.anchor)
        if node is None:
            message = f"there is no anchor '&{event.anchor}' before this alias"
            self._stop(event, Problem(message, hint=self._anchor_hint(event.anchor), id="unknown-anchor"))
        if id(node) not in self._extent:
            message = f"'*{event.anchor}' is inside the node that it refers to"
            self._stop(event, Problem(message, id="alias-cycle"))
        self._add(node, *self._extent[id(node)], event)

    def _anchor_hint(self, name: str) -> str:
        return did_you_mean(name, self._anchors) if self._anchors else f"write '&{name}' before the node"

    def _anchor(self, event: Event, node: Node) -> None:
        if event.anchor is None:
            return
        if event.anchor in self._anchors:
            first = location_of(self._anchors[event.anchor].start_mark)
            message = f"the anchor '&{event.anchor}' exists already at {first}"
            self._add_problem(event, Problem(message, hint="rename one of them", id="duplicate-anchor"))
        set_anchor(node, event.anchor)
        self._anchors[event.anchor] = node

    def _add(self, node: Node, size: int, depth: int, at: Event = None) -> None:
        """Add a complete node to the open one."""
        self._extent[id(node)] = (size, depth)
        if depth > MAX_DEPTH:
            self._stop(at or node, _TOO_DEEP)
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        frame.size += size
        frame.depth = max(frame.depth, depth)
        if frame.size > MAX_NODES:
            message = f"expands into more than {MAX_NODES} nodes"
            self._stop(at or node, Problem(message, hint="use fewer aliases of aliases", id="too-many-nodes"))
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
        hint = f"quote it: '{key.value}'" if plain else ""
        self._add_problem(key, Problem(f"a key must be a string, not {describe(key)}", hint=hint, id="key-not-string"))

    def _finish_mapping(self, node: MappingNode) -> None:
        """Refuse duplicate keys and expand the merge key `<<`."""
        first: dict[str, Node] = {}
        own, merged = [], []
        for key, value in node.value:
            if not (isinstance(key, ScalarNode) and key.tag == STR):
                continue
            if key.value == "<<" and key.style is None:
                merged += self._sources_of_merge(value)
            elif key.value in first:
                where = location_of(first[key.value].start_mark)
                self._add_problem(key, Problem(f"the key '{key.value}' exists already at {where}", id="duplicate-key"))
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
            self._add_problem(wrong, Problem(f"'<<' merges mappings, not {describe(wrong)}", id="merge-not-mapping"))
        return [node for node in candidates if isinstance(node, MappingNode)]

    def _path(self) -> str:
        path = ""
        for frame in self._stack:
            if isinstance(frame.node, SequenceNode):
                path = join(path, str(len(frame.node.value)))
            elif isinstance(frame.key, ScalarNode):
                path = join(path, frame.key.value)
        return path

    def _add_problem(self, at: Event, problem: Problem) -> None:
        key = self._path()
        key = key if len(key) <= LONGEST_KEY else ""
        self.problems.append(located(problem, at.start_mark, self.sources, key))

    def _stop(self, at: Event, problem: Problem) -> NoReturn:
        self._add_problem(at, problem)
        raise UnreadableError
