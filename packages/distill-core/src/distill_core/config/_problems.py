"""Problems of a document: records without a location, the exceptions that carry them, and how they get a location."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml
from yaml import Node

from ..errors import Location, Problem

Mark = Any  # yaml's stubs declare every mark as optional

LONGEST_LINE = 300
"""Longer lines are not shown with their problem."""


class TrustProblem(Problem):
    """A problem of trust: the document names something outside the trusted packages."""


class RefusedError(Exception):
    """A problem whose node the raising function does not know; the caller locates and collects it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class UntrustedError(RefusedError):
    """The policy refuses a name, an object or an argument."""


class NotFoundError(RefusedError):
    """No module, attribute or short name of that name exists."""


class TagError(RefusedError):
    """A tagged node that is malformed; `node` is the part of it that is wrong."""

    def __init__(self, node: Node, problem: Problem) -> None:
        super().__init__(problem)
        self.node = node


def located(problem: Problem, mark: Mark, sources: Mapping[str, str], key: str = "") -> Problem:
    """Return the problem with the location of a mark, the line of the file there, and a key path."""
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", sources.get(mark.name, ""))
    source = lines[mark.line].replace("\t", " ") if mark.line < len(lines) else ""
    shown = source if len(source) <= LONGEST_LINE else ""
    return replace(problem, location=location_of(mark), source=shown, key=key)


def mark_at(name: str, line: int, column: int) -> Mark:
    """Return a mark in a text that YAML did not read; lines and columns count from 0."""
    return yaml.Mark(name, 0, line, column, None, None)  # type: ignore[arg-type]


def location_of(mark: Mark) -> Location:
    """Return the location of a mark, counted from 1; an override is located on the command line."""
    name = "command line" if mark.name.startswith("<override ") else mark.name
    return Location(name, mark.line + 1, mark.column + 1)
