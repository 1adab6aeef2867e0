"""Nodes of an experiment by their key."""

from __future__ import annotations

from collections.abc import Iterator

from yaml import MappingNode, Node, SequenceNode

from ..errors import DistillError, Problem
from ._document import Document
from ._nodes import is_untagged, walk


class NodesByKey:
    """Finds nodes of a document by key, and creates problems at their position.

    Args:
        document: The document.
    """

    def __init__(self, document: Document) -> None:
        self.document = document

    def find(self, key: str) -> tuple[Node, str]:
        """Return the node at a key such as `stages.0.losses.kd`, or the nearest one above it, and its key."""
        node: Node = self.document.root
        found: list[str] = []
        for part in key.split("."):
            below = dict(_children(node)).get(part)
            if below is None:
                break
            node = below
            found.append(part)
        return node, ".".join(found)

    def problem(self, key: str, error: str | DistillError) -> Problem:
        """Return a problem at a key, or at the nearest key above it that the document has."""
        node, found = self.find(key)
        if isinstance(error, str):
            return self.document.problem(node, error, found)
        message, _, hint = error.message.partition("\n  hint: ")
        return self.document.problem(node, message, found, error.hint or hint)

    def loaders(self) -> Iterator[Node]:
        """Yield the nodes that create loaders: all of `data`, every stage's `data`, every `loader`."""
        for key, node in _walk(self.document.root, "", set()):
            parts = key.split(".")
            is_loader = parts[-1] == "loader" or (parts[0] == "data" and len(parts) == 2)
            is_loader |= parts[0] == "stages" and parts[2:] == ["data"]
            if is_loader and not is_untagged(node):
                yield node

    def models(self) -> Iterator[Node]:
        """Yield the nodes that create models."""
        for name, node in _children(self.document.root):
            if name == "models":
                yield from (model for _, model in _children(node))

    def tagged(self, node: Node) -> Iterator[Node]:
        """Yield a node and those below it, as far as they have a tag of this project."""
        yield from (below for _, below in walk(node) if not below.tag.startswith("tag:yaml.org"))


def _walk(node: Node, key: str, seen: set[int]) -> Iterator[tuple[str, Node]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    yield key, node
    for part, below in _children(node):
        yield from _walk(below, f"{key}.{part}" if key else part, seen)


def _children(node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node, MappingNode):
        yield from ((str(name.value), value) for name, value in node.value)
    elif isinstance(node, SequenceNode):
        yield from ((str(number), value) for number, value in enumerate(node.value))
