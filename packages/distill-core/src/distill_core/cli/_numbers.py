"""Measured numbers as text."""

from __future__ import annotations


def describe_number(value: float) -> str:
    """A measured number with as many digits as mean something.

    >>> describe_number(95.0), describe_number(0.12345)
    ('95.00', '0.1235')
    """
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"
