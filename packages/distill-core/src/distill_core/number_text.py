"""Numbers as text."""

from __future__ import annotations

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def describe_number(value: float, *, percent: bool = False) -> str:
    """Format a measured number with its significant digits; a fraction in percent if its metric is printed so.

    >>> describe_number(95.0), describe_number(0.12345), describe_number(0.95123, percent=True)
    ('95.00', '0.1235', '95.12%')
    """
    if percent and value >= 0:  # COCO's −1 for "no objects" is not a fraction
        return f"{value:.2%}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def counted(count: int | None, noun: str) -> str:
    """Return a number with a noun in singular or plural.

    >>> counted(1, "epoch"), counted(20, "step")
    ('1 epoch', '20 steps')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def short(number: int) -> str:
    """Return a number with three digits and a unit.

    >>> short(0), short(950), short(11_689_512)
    ('0', '950', '11.7M')
    """
    for unit, letter in _UNITS:
        if number >= unit:
            return f"{number / unit:.3g}{letter}"
    return str(number)
