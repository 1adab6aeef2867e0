"""Errors of an experiment's parts as problems with a key and, for an experiment from a file, a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..config import Document, NodesByKey
from ..errors import DistillError, Problem
from ..experiment import INHERIT, Stage


class Locator:
    """Creates problems at keys of an experiment.

    Args:
        stages: The stages as written.
        document: The document of the experiment, if it comes from one.
    """

    def __init__(self, stages: Sequence[Stage], document: Document | None = None) -> None:
        self._stages = stages
        self._nodes = NodesByKey(document) if document is not None else None

    def stage_key(self, index: int, key: str) -> str:
        """Return the key of something that a stage uses: `losses.kd.inputs` → `stages.0.losses.kd.inputs`.

        It begins with the stage in which the field is set: the stage itself or an earlier one, from which it inherits.
        """
        field = key.partition(".")[0]
        values: list[Any] = [getattr(stage, field, INHERIT) for stage in self._stages[: index + 1]]
        given = [number for number, value in enumerate(values) if value is not INHERIT]
        return f"stages.{given[-1] if given else index}.{key}"

    def problem(self, key: str, error: str | Problem | DistillError) -> Problem:
        """Return a problem at a key, or at the nearest key above it that the document has."""
        problem = error.problems[0] if isinstance(error, DistillError) else error
        problem = Problem(problem) if isinstance(problem, str) else problem
        return replace(problem, key=key) if self._nodes is None else self._nodes.located(problem, key)


def unique(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems without repetitions: what is behind an alias, or inherited, is reported once."""
    first: dict[object, Problem] = {}
    for problem in problems:
        first.setdefault((problem.location or problem.key, problem.message), problem)
    return list(first.values())
