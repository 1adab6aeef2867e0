"""A YAML file as a graph of nodes, complete; nothing is built or imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yaml import MappingNode, Node

from ..errors import ConfigError, Location, Problem
from ._assemble import Assembly
from ._dump import dump
from ._nodes import MAP, describe, location_of, problem_at


@dataclass(frozen=True)
class Document:
    """One experiment as nodes.

    Attributes:
        root: The mapping at the top.
        path: The file it was read from.
        sources: The text of every file that took part, by the name that marks carry.
    """

    root: MappingNode
    path: Path
    sources: dict[str, str]

    def dump(self) -> str:
        """The whole document as YAML: bases, includes and overrides put in, tags and anchors kept."""
        return dump(self.root)

    def location(self, node: Node) -> Location:
        """Where the node stands."""
        return location_of(node.start_mark)

    def problem(
        self, node: Node, message: str, key: str = "", hint: str = "", *, kind: type[Problem] = Problem
    ) -> Problem:
        """Something wrong with the node, shown with its line."""
        return problem_at(node.start_mark, self.sources, message, key=key, hint=hint, kind=kind)


def read(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Document:
    """Read a file, its bases and includes, and apply overrides such as `stages.0.epochs=2`.

    Raises:
        ConfigError: With all that is wrong, each problem at its place.
    """
    reading = Assembly()
    root = reading.load(str(Path(path)), None)
    if root is not None and not (isinstance(root, MappingNode) and root.tag == MAP):
        problem = problem_at(
            root.start_mark, reading.sources, f"the top of an experiment is a mapping, not {describe(root)}"
        )
        reading.problems.append(problem)
    elif isinstance(root, MappingNode):
        for number, text in enumerate(overrides, start=1):
            reading.override(root, text, number)
    if reading.problems or not isinstance(root, MappingNode):
        raise ConfigError(sorted(reading.problems, key=_order))
    return Document(root, Path(path), reading.sources)


def read_call(path: str, arguments: Sequence[str] = ()) -> Document:
    """A call that stands on the command line instead of in a file: its root is `!import_call:PATH {...}`.

    Args:
        path: The import path of what is called.
        arguments: `width=64`, `block.depth=2`; the values are YAML, tags included.

    Raises:
        ConfigError: With all that is wrong.
    """
    reading = Assembly()
    text = f"!import_call:{path} {{}}"
    root = reading.compose(text, "command line", text)
    if isinstance(root, MappingNode) and not reading.problems:
        for number, argument in enumerate(arguments, start=1):
            reading.override(root, argument if argument.startswith("+") else f"+{argument}", number)
    if reading.problems or not isinstance(root, MappingNode):
        raise ConfigError(sorted(reading.problems, key=_order))
    return Document(root, Path("command line"), reading.sources)


def _order(problem: Problem) -> tuple[str, int, int]:
    location = problem.location
    return (location.file, location.line, location.column) if location else ("", 0, 0)
