"""Where in a file the parts of an experiment stand."""

from __future__ import annotations

from collections.abc import Iterator

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import DistillError, Problem
from ._document import Document
from ._nodes import is_untagged


class NodesByKey:
    """Finds nodes of a document by key, and makes problems that stand there.

    Args:
        document: The document.
    """

    def __init__(self, document: Document) -> None:
        self.document = document

    def find(self, key: str) -> tuple[Node, str]:
        """The node at a key such as `stages.0.losses.kd`, or the nearest one above it; and its key."""
        node: Node = self.document.root
        found: list[str] = []
        for part in key.split("."):
            below = dict(_children(node)).get(part)
            if below is None:
                break
            node = below
            found.append(part)
        return node, ".".join(found)

    def of_stage(self, number: int, key: str) -> str:
        """The key of something of a stage that it may have taken from one before: `losses.kd.inputs`."""
        keys = [self.find(f"stages.{earlier}.{key}")[1] for earlier in range(number, -1, -1)]
        return max(keys, key=lambda found: found.count("."))

    def problem(self, key: str, error: str | DistillError) -> Problem:
        """A problem that stands at a key, or at what is nearest above it."""
        node, found = self.find(key)
        if isinstance(error, str):
            return self.document.problem(node, error, found)
        return self.problem_at(node, error, found)

    def problem_at(self, node: Node, error: DistillError, key: str) -> Problem:
        """Return a problem at a node, from an error."""
        message, _, hint = str(error).partition("\n  hint: ")
        return self.document.problem(node, message, key, hint)

    def loaders(self) -> Iterator[Node]:
        """The nodes that make loaders: all of `data`, every stage's `data`, every `loader`."""
        for key, node in _walk(self.document.root, "", set()):
            parts = key.split(".")
            is_loader = parts[-1] == "loader" or (parts[0] == "data" and len(parts) == 2)
            is_loader |= parts[0] == "stages" and parts[2:] == ["data"]
            if is_loader and not is_untagged(node):
                yield node

    def taps(self) -> Iterator[tuple[str, ScalarNode]]:
        """Yield the key and node of each tap in the wiring of losses, metrics and feeds."""
        for key, node in _walk(self.document.root, "", set()):
            parts = key.split(".")
            if ("inputs" in parts[-3:-1] or "feed" in parts[-4:-2]) and isinstance(node, ScalarNode):
                yield key, node

    def models(self) -> Iterator[Node]:
        """The nodes that make models."""
        for name, node in _children(self.document.root):
            if name == "models":
                yield from (model for _, model in _children(node))


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
