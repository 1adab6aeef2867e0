"""The range of a number in a random or TPE search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

KEYS = ("low", "high", "log")


@dataclass(frozen=True)
class SearchRange:
    """Numbers from `low` to `high`; integers if both are.

    Attributes:
        low: The smallest number.
        high: The largest number.
        log: Draw uniformly from the logarithm: as many numbers from 0.001 to 0.01 as from 0.01 to 0.1.
    """

    low: float
    high: float
    log: bool = False

    @property
    def is_integer(self) -> bool:
        """True if it has integers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> list[str]:
        """The smallest and the largest number as YAML."""
        return [self.write(self.low), self.write(self.high)]

    def draw(self, random: Random) -> str:
        """Return a number as YAML.

        >>> SearchRange(1.0e-5, 1.0e-2, log=True).draw(Random(0))
        '0.003414'
        >>> SearchRange(2, 8).draw(Random(0))
        '8'
        """
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if self.is_integer and not self.log:
            return str(random.randint(int(low), int(high)))
        value = random.uniform(low, high)
        return self.write(math.exp(value) if self.log else value)

    def write(self, value: float) -> str:
        """Return a number of the range as YAML, rounded to four digits or to an integer.

        >>> [SearchRange(1.0e-8, 9.0).write(value) for value in (1.0e-5, 0.123456, 2.0)]
        ['1e-05', '0.1235', '2.0']
        """
        value = min(max(value, self.low), self.high)
        if self.is_integer:
            return str(round(value))
        text = f"{value:.4g}"
        return text if "." in text or "e" in text else f"{text}.0"


def range_problem(given: Mapping[str, Any]) -> str:
    """Return why a mapping is not a range; an empty string if it is one."""
    if not {"low", "high"} <= set(given) <= set(KEYS):
        return (
            f"a range has the keys low and high, and log if drawn from the logarithm, got {', '.join(given) or 'none'}"
        )
    numbers = [given[key] for key in ("low", "high")]
    if any(isinstance(n, bool) or not isinstance(n, int | float) or not math.isfinite(n) for n in numbers):
        return f"low and high must be numbers, got {numbers[0]!r} and {numbers[1]!r}"
    if not isinstance(given.get("log", False), bool):
        return f"log must be true or false, got {given['log']!r}"
    if not numbers[0] < numbers[1]:
        return f"low must be less than high, got {numbers[0]} and {numbers[1]}"
    if given.get("log", False) and numbers[0] <= 0:
        return f"log requires low > 0, got {numbers[0]}"
    return ""
