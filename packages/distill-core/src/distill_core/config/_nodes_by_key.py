"""The nodes of a document by key path."""

from __future__ import annotations

from collections.abc import Iterator

from yaml import Node

from ..errors import Problem
from ._document import Document
from ._nodes import children, is_untagged, walk


class NodesByKey:
    """Finds nodes of a document by key path, and locates problems there.

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
            below = dict(children(node)).get(part)
            if below is None:
                break
            node = below
            found.append(part)
        return node, ".".join(found)

    def located(self, problem: Problem, key: str) -> Problem:
        """Return the problem with the location of the node at a key, or of the nearest node above it."""
        node, existing = self.find(key)
        return self.document.located(problem, node, existing)

    def loaders(self) -> Iterator[Node]:
        """Yield the nodes that create loaders: all of `data`, every stage's `data`, every `loader`."""
        for key, node in walk(self.document.root):
            parts = key.split(".")
            is_loader = parts[-1] == "loader" or (parts[0] == "data" and len(parts) == 2)
            is_loader |= parts[0] == "stages" and parts[2:] == ["data"]
            if is_loader and not is_untagged(node):
                yield node

    def models(self) -> Iterator[Node]:
        """Yield the nodes that create models."""
        for name, node in children(self.document.root):
            if name == "models":
                yield from (model for _, model in children(node))

    def num_uses(self, node: Node) -> int:
        """Return how many mappings and lists of the document hold a node: more than one if it has aliases."""
        return sum(child is node for _, parent in walk(self.document.root) for _, child in children(parent))

    def tagged(self, node: Node) -> Iterator[Node]:
        """Yield a node and those below it, as far as they have a tag of this project."""
        yield from (below for _, below in walk(node) if not below.tag.startswith("tag:yaml.org"))
