"""The error that this package raises."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """An error that the user can act on: an unknown model, no network, a damaged file, a missing package.

    Args:
        message: One sentence without a full stop.
        key: The path of keys to the faulty value.
        hint: The suggested fix, as an imperative.
    """

    exit_code = 1

    def __init__(self, message: str, *, key: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.key, self.hint = message, key, hint

    def __str__(self) -> str:
        head = f"{self.message} (at {self.key})" if self.key else self.message
        return f"{head}\n  hint: {self.hint}" if self.hint else head


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return a hint that names the nearest choice, or all choices if none is close.

    >>> did_you_mean("cifar10/resnet2", ["cifar10/resnet20", "cifar10/resnet110"])
    "did you mean 'cifar10/resnet20'?"
    >>> did_you_mean("x", ["b", "a"])
    "choose from 'a', 'b'"
    """
    choices = sorted(choices)
    if close := difflib.get_close_matches(name, choices, n=1):
        return f"did you mean '{close[0]}'?"
    return "choose from " + ", ".join(f"'{choice}'" for choice in choices)
