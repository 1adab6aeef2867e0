"""Schedules: numbers that change during a stage, for example the weight of a term.

Anything that takes a `StageProgress` and returns a number is a schedule; these are the usual ones. They count in epochs of the
stage, with fractions, and so change at every step. In YAML:

    kd:
      weight: !import_call:distill_core.schedules.Warmup {value: 8.0, epochs: 20}
      loss: !import_call:distill_core.losses.KDLoss {}
      schedules: {temperature: !import_call:distill_core.schedules.Linear {start: 8.0, end: 1.0}}
      inputs: {student: student, teacher: teacher}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .experiment import StageProgress
from .ranges import Finite, NonNegativeFloat, PositiveFloat, check_fields


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Linear interpolation from `start` to `end`.

    Attributes:
        start: Value up to the epoch `since`.
        end: Value from the epoch `until` on.
        since: Epochs of the stage after which the change starts.
        until: Epochs after which the change ends; the end of the stage by default.

    >>> Linear(start=1.0, end=3.0)(StageProgress(stage=0, step=50, steps=100, epochs=10))
    2.0
    """

    start: Finite
    end: Finite
    since: NonNegativeFloat = 0.0
    until: NonNegativeFloat | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, progress: StageProgress) -> float:
        """Return the value at this progress."""
        return self.start + (self.end - self.start) * _share(progress, self.since, self.until)


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Cosine interpolation from `start` to `end`. The fields are those of `Linear`.

    >>> round(Cosine(start=1.0, end=0.0)(StageProgress(stage=0, step=25, steps=100, epochs=10)), 4)
    0.8536
    """

    start: Finite
    end: Finite
    since: NonNegativeFloat = 0.0
    until: NonNegativeFloat | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, progress: StageProgress) -> float:
        """Return the value at this progress."""
        share = (1 - math.cos(math.pi * _share(progress, self.since, self.until))) / 2
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """Increase from 0 to `value` over the first `epochs`: `value · min(n/epochs, 1)` in the n-th epoch.

    >>> Warmup(value=8.0, epochs=4)(StageProgress(stage=0, step=0, steps=100, epochs=10))
    2.0
    """

    value: Finite
    epochs: PositiveFloat

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, progress: StageProgress) -> float:
        """Return the value at this progress."""
        return self.value * min((math.floor(progress.epoch) + 1) / self.epochs, 1.0)


@dataclass(frozen=True, kw_only=True)
class Step:
    """`start`, multiplied by `factor` at each milestone.

    Attributes:
        start: Initial value.
        milestones: Epochs after which it changes.
        factor: Multiplier.

    >>> Step(start=1.0, milestones=[3, 6], factor=0.5)(StageProgress(stage=0, step=60, steps=100, epochs=10))
    0.25
    """

    start: Finite
    milestones: Sequence[NonNegativeFloat]
    factor: Finite = 0.1

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, progress: StageProgress) -> float:
        """Return the value at this progress."""
        return self.start * self.factor ** sum(progress.epoch >= milestone for milestone in self.milestones)


def _share(progress: StageProgress, since: float, until: float | None) -> float:
    """Return the completed fraction of the interval from `since` to `until`, from 0 to 1."""
    end = float(progress.epochs if until is None else until)
    return (
        min(max((progress.epoch - since) / (end - since), 0.0), 1.0) if end > since else float(progress.epoch >= since)
    )
