"""Errors meant for the user, and the record that each of them holds.

Every error that Distill raises deliberately is a `DistillError`: a record of what is wrong, formatted once, by `str`.
Its `exit_code` is the exit code of the command line.

    raise WiringError("there is no model 'techer'", key="stages.0.feed", hint="did you mean 'teacher'?")
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """A position in a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what, and how to fix it.

    Args:
        message: One sentence without a full stop.
        location: The position in a file, if the problem comes from a file.
        source: The line of the file, shown above a caret.
        key: The path of keys to it, `stages.0.optimizer`; it precedes the message if there is no location.
        hint: How to fix it: the nearest valid name, the missing part.
        id: Short name of the message, unique and stable: `unknown-key`.
    """

    message: str
    location: Location | None = None
    source: str = ""
    key: str = ""
    hint: str = ""
    id: str = ""

    def __str__(self) -> str:
        where = self.location or self.key
        head = f"{where}: {self.message}" if where else self.message
        lines = [f"{head} (at {self.key})" if self.location and self.key else head]
        if self.source and self.location:
            lines += [f"    {self.source}", "    " + " " * (self.location.column - 1) + "^"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class DistillError(Exception):
    """A failure that the user can act on; `problems` holds its records.

    Args:
        message: One sentence without a full stop.
        key: The path of keys to the setting that is wrong, `stages.0.optimizer`.
        hint: How to fix it.
        location: The position in a file.

    >>> error = DataError("'val' is not a split", hint="did you mean 'validation'?")
    >>> error.message, error.hint
    ("'val' is not a split", "did you mean 'validation'?")
    >>> print(error)
    'val' is not a split
      hint: did you mean 'validation'?
    """

    exit_code = 1
    problems: tuple[Problem, ...]

    def __init__(self, message: str, *, key: str = "", hint: str = "", location: Location | None = None) -> None:
        self._hold([Problem(message, location, key=key, hint=hint)])

    def _hold(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        self.args = ("\n".join(map(str, self.problems)),)

    @property
    def message(self) -> str:
        """The sentence of the first problem."""
        return self.problems[0].message

    @property
    def key(self) -> str:
        """The key of the first problem; empty if it has none."""
        return self.problems[0].key

    @property
    def hint(self) -> str:
        """The hint of the first problem; empty if it has none."""
        return self.problems[0].hint

    @property
    def location(self) -> Location | None:
        """The location of the first problem; None if it does not come from a file."""
        return self.problems[0].location

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the records, so that another process raises the same error."""
        return _restored, (type(self), *self.args), self.__dict__


def _restored(kind: type[DistillError], text: str) -> DistillError:
    """Return a pickled error, to which pickle then adds its records."""
    return kind.__new__(kind, text)


class WiringError(DistillError):
    """Names that do not match: a tap without a module, an input without a parameter."""

    exit_code = 2


class DataError(DistillError):
    """A sample, a file or a split that cannot be used."""


class TrainingError(DistillError):
    """A run that cannot start, continue or resume."""


class PeerError(TrainingError):
    """Another process of the run has ended, so this one cannot continue."""


class ConfigError(DistillError):
    """A file that cannot be read as an experiment; `problems` holds everything that is wrong with it.

    Args:
        problems: At least one problem.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._hold(problems)


class TrustError(ConfigError):
    """A file that names something outside the trusted packages."""

    exit_code = 3


def as_distill_error(error: Exception) -> Exception:
    """Return a `DistillError` with the record of an error that has its attributes, otherwise the error itself.

    `distill_zoo` imports no other package of Distill, so its `ZooError` only has the same attributes.
    """
    record = [getattr(error, name, None) for name in ("message", "key", "hint")]
    if isinstance(error, DistillError) or not all(isinstance(text, str) for text in record):
        return error
    message, key, hint = map(str, record)
    return DistillError(message, key=key, hint=hint)


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return the choice closest to `name`; an empty string if none is close.

    >>> nearest("temprature", ["temperature", "reduction"])
    'temperature'
    >>> nearest("x", ["temperature"])
    ''
    """
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return close[0] if close else ""


def did_you_mean(name: str, choices: Iterable[str], *, otherwise: str | None = None) -> str:
    """Return a hint: the closest valid name if one is close.

    Args:
        name: The name that was given.
        choices: The valid names.
        otherwise: The hint if none is close; by default it lists all valid names.

    >>> did_you_mean("temprature", ["temperature", "reduction"])
    "did you mean 'temperature'?"
    >>> did_you_mean("x", ["temperature", "reduction"])
    "choose from 'reduction', 'temperature'"
    """
    choices = sorted(set(choices))
    if close := nearest(name, choices):
        return f"did you mean '{close}'?"
    if otherwise is not None:
        return otherwise
    return "choose from " + ", ".join(f"'{choice}'" for choice in choices) if choices else ""
