"""Changes from the command line: `stages.0.epochs=2`, `+stages.0.clip_grad_norm=1.0`, `~stages.0.scheduler`.

    key=value    replaces an existing value
    +key=value   adds a new key, or appends to a list
    ~key         removes a key or an element

A key is a path of names and indices (`-1` is the last); a name that contains a dot is quoted:
`stages.0.groups."student.fc".lr=0.1`. The value is YAML, tags included. An anchored element is one element: a change
inside it applies wherever it is used. Replacing it at its anchor replaces it everywhere; replacing an alias replaces
that alias only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import Problem, did_you_mean
from ._nodes import STR, anchor, count, describe, join, set_anchor, substitute, walk
from ._problems import RefusedError, mark_at

_FORMS = "write key=value, +key=value or ~key"
_SEGMENT = re.compile(r""" "([^"]*)" | '([^']*)' | ([^."'=\s]+) """, re.VERBOSE)


class OverrideError(RefusedError):
    """An override that cannot be read or applied; `column` counts from 0."""

    def __init__(self, problem: Problem, column: int) -> None:
        super().__init__(problem)
        self.column = column


@dataclass(frozen=True)
class Override:
    """One change: `action` is `=`, `+` or `~`; `columns` holds the start of each segment, from 0."""

    text: str
    action: str
    segments: tuple[str, ...]
    columns: tuple[int, ...]
    value: str | None
    value_column: int

    @classmethod
    def parse(cls, text: str) -> Override:
        """Parse one override.

        Raises:
            OverrideError: It is malformed.
        """
        action = text[0] if text[:1] in ("+", "~") else "="
        at = 0 if action == "=" else 1
        segments: list[str] = []
        columns: list[int] = []
        while match := _SEGMENT.match(text, at):
            segments.append(next(group for group in match.groups() if group is not None))
            columns.append(at)
            at = match.end()
            if text[at : at + 1] != ".":
                break
            at += 1
        if not segments or text[at - 1] == ".":
            message = "a key is missing here"
            raise OverrideError(Problem(message, hint=_FORMS, id="override-key-missing"), at)
        if action == "~":
            if at < len(text):
                message = "'~key' takes no value"
                raise OverrideError(Problem(message, id="override-removes-value"), at)
            return cls(text, action, tuple(segments), tuple(columns), None, 0)
        if text[at : at + 1] != "=":
            message = "'=' is missing here"
            raise OverrideError(Problem(message, hint=_FORMS, id="override-equals-missing"), at)
        return cls(text, action, tuple(segments), tuple(columns), text[at + 1 :], at + 1)


def apply(root: MappingNode, override: Override, value: Node | None) -> None:
    """Apply an override to the graph below `root`.

    Raises:
        OverrideError: The key does not exist, or exists already.
    """
    node: Node = root
    path = ""
    for segment, column in zip(override.segments[:-1], override.columns[:-1], strict=True):
        node = _below(node, _find(node, segment, column, path))
        path = join(path, segment)
    last, column = override.segments[-1], override.columns[-1]
    if override.action == "+":
        _add(root, node, last, column, path, value, override)
        return
    hint = "" if override.action == "~" else f"write '+{override.text}' to add it"
    index = _find(node, last, column, path, hint)
    if override.action == "~":
        del node.value[index]
    elif value is not None:
        put(root, node, index, value)


def find_node(root: MappingNode, override: Override) -> Node:
    """Return the node at the key of an override.

    Raises:
        OverrideError: The key does not exist.
    """
    node: Node = root
    path = ""
    hint = f"write '+{override.text}' to add it"
    last = len(override.segments) - 1
    for index, (segment, column) in enumerate(zip(override.segments, override.columns, strict=True)):
        node = _below(node, _find(node, segment, column, path, hint if index == last else ""))
        path = join(path, segment)
    return node


def _below(node: Node, index: int) -> Node:
    item = node.value[index]
    child: Node = item[1] if isinstance(node, MappingNode) else item
    return child


def _find(node: Node, segment: str, column: int, path: str, hint: str = "") -> int:
    """Return the position of a key or index in a node."""
    where = f"'{path}'" if path else "the file"
    if isinstance(node, MappingNode):
        keys = [key.value for key, _ in node.value]
        if segment in keys:
            return keys.index(segment)
        hint = "; ".join(filter(None, (did_you_mean(segment, keys), hint)))
        message = f"{where} has no key '{segment}'"
        raise OverrideError(Problem(message, hint=hint, id="override-unknown-key"), column)
    if isinstance(node, SequenceNode):
        length = len(node.value)
        if not re.fullmatch(r"-?\d{1,9}", segment):
            message = f"{where} is a list: '{segment}' is not an index"
            raise OverrideError(Problem(message, hint="count from 0", id="override-not-an-index"), column)
        if -length <= int(segment) < length:
            return int(segment) % length
        message = f"{where} has {count(length, 'element')}: there is no element {segment}"
        raise OverrideError(Problem(message, hint="count from 0", id="override-index-out-of-range"), column)
    message = f"{where} is {describe(node)}: there is no '{segment}' below it"
    raise OverrideError(Problem(message, id="override-below-scalar"), column)


def _add(root: Node, node: Node, last: str, column: int, path: str, value: Node | None, override: Override) -> None:
    if value is None:
        return
    existing = _existing(node, last, column, path)
    if isinstance(existing, SequenceNode):
        existing.value.append(value)
        return
    if existing is not None:
        message = f"'{join(path, last)}' exists already"
        raise OverrideError(
            Problem(message, hint=f"write '{override.text[1:]}' to replace it", id="override-key-exists"), 0
        )
    if isinstance(node, ScalarNode) and node.tag.startswith("!") and not node.value:  # a call without arguments
        full = MappingNode(node.tag, [], node.start_mark, node.end_mark, flow_style=True)
        set_anchor(full, anchor(node))
        substitute(root, {id(node): full})
        node = full
    if not isinstance(node, MappingNode):
        _find(node, last, column, path)
    mark = mark_at(value.start_mark.name, 0, column)
    node.value.append((ScalarNode(STR, last, mark, mark), value))


def _existing(node: Node, last: str, column: int, path: str) -> Node | None:
    """Return the node at a key, if there is one; raise if a list does not have the index."""
    if isinstance(node, MappingNode) and last not in [key.value for key, _ in node.value]:
        return None
    if isinstance(node, ScalarNode):
        return None
    return _below(node, _find(node, last, column, path))


def put(root: Node, parent: Node, index: int, value: Node, key: Node | None = None) -> None:
    """Replace the node at `parent[index]`; a node that is replaced at its anchor is replaced everywhere."""
    old = _below(parent, index)
    if anchor(old) and _is_first(root, parent, index, old):
        if anchor(value) is None:
            set_anchor(value, anchor(old))
        substitute(root, {id(old): value})
    if isinstance(parent, MappingNode):
        parent.value[index] = (key or parent.value[index][0], value)
    else:
        parent.value[index] = value


def _is_first(root: Node, parent: Node, index: int, node: Node) -> bool:
    """Return whether `parent[index]` is the anchored node itself, not one of its aliases."""
    for _, above in walk(root):
        if isinstance(above, (MappingNode, SequenceNode)):
            for position in range(len(above.value)):
                if _below(above, position) is node:
                    return above is parent and position == index
    return False
