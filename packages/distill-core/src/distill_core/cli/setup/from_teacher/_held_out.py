"""Samples of the training data that are held out for validation, and the sentence about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MOST_SHOWN = 5


@dataclass(frozen=True)
class HeldOut:
    """Samples of the training data that are held out for `val`.

    Attributes:
        count: Number of samples; 0 if `val` has its own.
        missing: The classes of which none is held out.
    """

    count: int = 0
    missing: Sequence[str] = ()


NONE_HELD_OUT = HeldOut()


def num_held_out(count: int, num_classes: int = 1) -> int:
    """Return the number of samples to hold out of `count`: a tenth, and at least one for each class."""
    return max(num_classes, count // 10)


def about_held_out(held_out: HeldOut, what: str = "images", *, of_classes: bool = True) -> str:
    """Return the number of held-out samples and, if each has a class, whether they are too few for the classes.

    >>> about_held_out(HeldOut(3)), about_held_out(HeldOut(2, ["dog"]))
    ('val: 3 images held out of train, at least one of each class', "val: 2 images held out of train, none of 'dog': too few to select the best epoch reliably")
    """
    if not held_out.count:
        return f"val has {what} of its own"
    text = f"val: {held_out.count:,} {what} held out of train"
    if not of_classes:
        return text
    if not held_out.missing:
        return f"{text}, at least one of each class"
    return f"{text}, none of {listed(map(repr, held_out.missing))}: too few to select the best epoch reliably"


def listed(names: Iterable[str]) -> str:
    """Return the first names, separated by commas.

    >>> listed("abcdefg")
    'a, b, c, d, e, …'
    """
    first = list(names)
    return ", ".join(first[:_MOST_SHOWN]) + (", …" if len(first) > _MOST_SHOWN else "")
