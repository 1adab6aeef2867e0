"""Reading of a YAML file with its bases, includes and overrides into a graph of nodes; nothing is built or imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yaml import MappingNode, Node

from ..errors import ConfigError, Location, Problem
from ._assemble import Assembly
from ._dump import dump
from ._nodes import MAP, describe
from ._own_tokenizers import expand_tokenizers
from ._problems import located, location_of


@dataclass(frozen=True)
class Document:
    """One experiment as nodes.

    Attributes:
        root: The mapping at the top.
        path: The file that it was read from.
        sources: The text of every file that was read, by name.
        modules: The folder of modules that it may name once they are trusted; by default that of the file.
    """

    root: MappingNode
    path: Path
    sources: dict[str, str]
    modules: Path | None = None

    def dump(self) -> str:
        """Return the document as YAML with bases, includes and overrides applied; tags and anchors are kept."""
        return dump(self.root)

    def location(self, node: Node) -> Location:
        """Return the location of a node."""
        return location_of(node.start_mark)

    def located(self, problem: Problem, node: Node, key: str = "") -> Problem:
        """Return the problem with the location of a node, the line of the file there, and a key path."""
        return located(problem, node.start_mark, self.sources, key)


def read(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Document:
    """Read a file, its bases and includes, apply overrides such as `stages.0.epochs=2`, and expand tokenizers of `sources`.

    Raises:
        ConfigError: With all problems, each with its location.
    """
    reading = Assembly()
    root = reading.load(str(Path(path)), None)
    if root is not None and not (isinstance(root, MappingNode) and root.tag == MAP):
        problem = Problem(f"an experiment is a mapping, not {describe(root)}", id="top-not-mapping")
        reading.problems.append(located(problem, root.start_mark, reading.sources))
    elif isinstance(root, MappingNode):
        for number, text in enumerate(overrides, start=1):
            reading.override(root, text, number)
        reading.problems += expand_tokenizers(root, reading.sources)
    if reading.problems or not isinstance(root, MappingNode):
        raise ConfigError(sorted(reading.problems, key=_order))
    return Document(root, Path(path), reading.sources)


def read_call(path: str, arguments: Sequence[str] = ()) -> Document:
    """Read a call from the command line instead of a file: its root is `!import_call:PATH {...}`.

    Args:
        path: The import path of the callable.
        arguments: `width=64`, `block.depth=2`; the values are YAML, tags included.

    Raises:
        ConfigError: With all problems.
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
