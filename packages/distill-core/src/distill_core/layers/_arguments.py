"""Validation of hyper-parameters at construction, so that a typo raises instead of silently changing the loss."""

from __future__ import annotations

from typing import TypeVar, get_args

from ..ranges import Range

T = TypeVar("T")


def one_of(name: str, value: T, choices: object) -> T:
    """Return `value` if it is one of the strings of a `Literal`.

    >>> from typing import Literal
    >>> one_of("mode", "paper", Literal["paper", "code"])
    'paper'

    Raises:
        ValueError: If it is not.
    """
    if value not in get_args(choices):
        message = f"`{name}` must be {' or '.join(map(repr, get_args(choices)))}, got {value!r}"
        raise ValueError(message)
    return value


def positive(name: str, value: float) -> float:
    """Return `value` if it is finite and > 0.

    >>> positive("temperature", 4.0)
    4.0

    Raises:
        ValueError: If it is not.
    """
    return _checked(name, value, Range(above=0))


def within(name: str, value: float, least: float = 0.0, most: float | None = None) -> float:
    """Return `value` if it is finite and within two inclusive bounds.

    >>> within("alpha", 0.0)
    0.0

    Raises:
        ValueError: If it is not.
    """
    return _checked(name, value, Range(min=least, max=most))


def _checked(name: str, value: float, bounds: Range) -> float:
    if refusal := bounds.refusal(f"`{name}`", value):
        raise ValueError(refusal)
    return value
