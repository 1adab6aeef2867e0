"""Errors meant for the user: the place, what is wrong, what to do.

Every error that Distill raises on purpose is a `DistillError`; its `exit_code` is what the command line ends with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class DistillError(Exception):
    """The run failed for a reason that the user can act on."""

    exit_code = 1


class WiringError(DistillError):
    """Names that do not fit: a tap without a module, an input without a parameter."""

    exit_code = 2


class DataError(DistillError):
    """A sample, a file or a split that cannot be used."""


class TrainingError(DistillError):
    """The run cannot start, go on or be resumed."""


class PeerError(TrainingError):
    """Another process of the run has ended, and this one cannot go on without it."""


@dataclass(frozen=True)
class Location:
    """Where in a file something stands; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it.

    Args:
        message: One sentence without a full stop.
        place: Where it stands, if it stands in a file.
        source: The line of the file, shown above a caret.
        key: The path of keys to it, `stages.0.optimizer`.
        hint: What to do: the nearest right name, the missing part.
    """

    message: str
    location: Location | None = None
    source: str = ""
    key: str = ""
    hint: str = ""

    def __str__(self) -> str:
        head = f"{self.location}: {self.message}" if self.location else self.message
        if self.key:
            head += f" (at {self.key})"
        lines = [head]
        if self.source and self.location:
            lines += [f"    {self.source}", "    " + " " * (self.location.column - 1) + "^"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class ConfigError(DistillError):
    """A file that cannot be read as an experiment; `problems` holds all that is wrong with it."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        """Another process is told of the same problems."""
        return type(self), (self.problems,)


class TrustError(ConfigError):
    """A file that names something outside the trusted packages."""

    exit_code = 3


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that `name` was most likely meant to be, or an empty string.

    >>> nearest("temprature", ["temperature", "reduction"])
    'temperature'
    >>> nearest("x", ["temperature"])
    ''
    """
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return close[0] if close else ""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A hint: the nearest right name where there is one, otherwise all of them.

    >>> did_you_mean("temprature", ["temperature", "reduction"])
    "did you mean 'temperature'?"
    >>> did_you_mean("x", ["temperature", "reduction"])
    "choose from 'reduction', 'temperature'"
    """
    choices = sorted(set(choices))
    if close := nearest(name, choices):
        return f"did you mean '{close}'?"
    return "choose from " + ", ".join(f"'{choice}'" for choice in choices) if choices else ""
