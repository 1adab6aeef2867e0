"""Estimates of the GPU hours of a run, from its operations."""

from __future__ import annotations

from dataclasses import dataclass

FLOPS = 30e12
"""Operations per second that the estimates assume of a GPU."""


@dataclass(frozen=True)
class Work:
    """The operations of a run.

    Attributes:
        row: The name of the row that is run.
        epochs: Number of epochs of all stages.
        samples: Samples per epoch.
        student: Billions of multiply-adds of a forward of the trained model, per sample.
        teacher: Those of the teacher.
        is_bound: Whether the run takes less, because forwards end early.
    """

    row: str
    epochs: int
    samples: int
    student: float
    teacher: float = 0.0
    is_bound: bool = False

    @property
    def hours(self) -> float:
        """Hours of a GPU: a step costs three forwards of the student and one of the teacher, a multiply-add two operations."""
        return self.epochs * self.samples * (3 * self.student + self.teacher) * 2e9 / FLOPS / 3600

    def __str__(self) -> str:
        each = f"(3 × {self.student:.1f} + {self.teacher:.1f})" if self.teacher else f"3 × {self.student:.1f}"
        number = f"{self.hours:.0f}" if self.hours >= 10 else f"{self.hours:.1f}"
        told = f"{'At most' if self.is_bound else 'About'} {number} GPU hours for {self.row}"
        return f"{told}: {self.epochs} epochs of {self.samples:,} samples, {each} billion multiply-adds each."
