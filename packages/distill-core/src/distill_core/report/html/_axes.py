"""Axes of charts: round ticks, and lines with few points."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]

MAX_BUCKETS = 250
"""Greatest number of stretches of a line, of which its least and its greatest point are drawn."""


def ticks(low: float, high: float, count: int = 5, bounds: tuple[float, float] | None = None) -> list[float]:
    """Return about `count` round numbers that cover an interval, none of them outside of the bounds.

    >>> ticks(0, 97), ticks(0.31, 0.98), ticks(3, 3)
    ([0.0, 20.0, 40.0, 60.0, 80.0, 100.0], [0.2, 0.4, 0.6, 0.8, 1.0], [2.0, 3.0, 4.0])
    >>> ticks(100, 100), ticks(100, 100, bounds=(0, 100))
    ([50.0, 100.0, 150.0], [50.0, 100.0])
    """
    if high <= low:
        margin = abs(low) / 3 or 1.0
        return ticks(low - margin, low + margin, 2, bounds)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= raw), 10 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = [float(f"{index * step:.10g}") for index in range(first, last + 1)]
    return [mark for mark in marks if bounds is None or bounds[0] <= mark <= bounds[1]]


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most two points of each stretch of a long line: the least and the greatest, in their order."""
    if len(points) <= 2 * MAX_BUCKETS:
        return list(points)
    size = math.ceil(len(points) / MAX_BUCKETS)
    stretches = [points[start : start + size] for start in range(0, len(points), size)]
    kept = [
        {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])} for stretch in stretches
    ]
    return [point for pair in kept for point in sorted(pair)]


def describe(value: float) -> str:
    """Format a number of an axis or a caption.

    >>> describe(1500000.0), describe(0.0003), describe(0.5), describe(20.0)
    ('1.5e+06', '0.0003', '0.5', '20')
    """
    return f"{value:.4g}"
