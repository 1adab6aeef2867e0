"""Ranges of numbers as type hints, shared by constructors, `distill check` and the JSON Schema.

    @dataclass
    class Stage:
        epochs: PositiveInt

This module imports neither torch nor yaml.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ParamSpec, TypeAlias, TypeVar, Union

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number; infinity and NaN are never within them.

    Attributes:
        min: The least number, inclusive.
        max: The greatest number, inclusive.
        above: Exclusive lower bound.
        below: Exclusive upper bound.

    >>> 0 in Range(min=0), 0 in Range(above=0), float("nan") in Range()
    (True, False, False)
    """

    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        """Return whether a number is finite and within the bounds."""
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """Return the bounds as text that follows "must be".

        >>> str(Range(min=0, below=1)), str(Range())
        ('>= 0 and < 1', 'a finite number')
        """
        bounds = {">=": self.min, ">": self.above, "<=": self.max, "<": self.below}
        return (
            " and ".join(f"{sign} {bound:g}" for sign, bound in bounds.items() if bound is not None)
            or "a finite number"
        )

    def refusal(self, name: str, value: float) -> str:
        """Return the error message for a number; an empty string if it is within the bounds.

        >>> Range(above=0).refusal("`temperature`", 0)
        '`temperature` must be > 0, got 0'
        """
        if value in self:
            return ""
        return f"{name} must be {self if math.isfinite(value) else Range()}, got {value}"


Finite: TypeAlias = Annotated[float, Range()]
PositiveInt: TypeAlias = Annotated[int, Range(min=1)]
NonNegativeInt: TypeAlias = Annotated[int, Range(min=0)]
PositiveFloat: TypeAlias = Annotated[float, Range(above=0)]
NonNegativeFloat: TypeAlias = Annotated[float, Range(min=0)]
Fraction: TypeAlias = Annotated[float, Range(min=0, max=1)]

ALIASES: Mapping[str, Any] = {
    "Finite": Finite,
    "PositiveInt": PositiveInt,
    "NonNegativeInt": NonNegativeInt,
    "PositiveFloat": PositiveFloat,
    "NonNegativeFloat": NonNegativeFloat,
    "Fraction": Fraction,
}
"""The hints above by name, for annotations that are read from source."""


def without_range(hint: Any) -> tuple[Any, Range | None]:
    """Split a hint into the type and its range, if it has one.

    >>> without_range(PositiveInt)
    (<class 'int'>, Range(min=1, max=None, above=None, below=None))
    >>> without_range(int)
    (<class 'int'>, None)
    """
    if typing.get_origin(hint) is not Annotated:
        return hint, None
    bare, *notes = typing.get_args(hint)
    return bare, next((note for note in notes if isinstance(note, Range)), None)


def check_fields(record: Any) -> None:
    """Check the numbers of a dataclass, including those in mappings and sequences; for its `__post_init__`.

    Raises:
        ValueError: A number is out of the range in its type hint.
    """
    record_type: Any = type(record)
    for name, hint in _hints(record_type).items():
        for refusal in _refusals(name, getattr(record, name), hint):
            raise ValueError(refusal)


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap a function so that it checks its numbers, including those in mappings and sequences, before it runs.

    >>> @checked
    ... def soften(temperature: PositiveFloat) -> None: ...
    >>> soften(0)
    Traceback (most recent call last):
        ...
    ValueError: `temperature` must be > 0, got 0
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            given = signature.bind_partial(*args, **kwargs).arguments
        except TypeError:  # the call itself raises Python's error
            given = {}
        hints = _hints(function)
        for name in given.keys() & hints.keys():
            for refusal in _refusals(name, given[name], hints[name]):
                raise ValueError(refusal)
        return function(*args, **kwargs)

    return call


@functools.cache
def _hints(record: Any) -> dict[str, Any]:
    return typing.get_type_hints(record, include_extras=True)


def _refusals(name: str, value: Any, hint: Any) -> Iterator[str]:
    bare, bounds = without_range(hint)
    if bounds is not None and isinstance(value, int | float):
        yield from filter(None, [bounds.refusal(f"`{name}`", value)])
        return
    origin, args = typing.get_origin(bare), typing.get_args(bare)
    if origin in (Union, types.UnionType):
        for member in args:
            yield from _refusals(name, value, member)
    elif origin is collections.abc.Mapping and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _refusals(f"{name}['{key}']", item, args[1])
    elif origin in (tuple, collections.abc.Sequence) and isinstance(value, list | tuple):
        for item in value:
            yield from _refusals(name, item, args[0])
