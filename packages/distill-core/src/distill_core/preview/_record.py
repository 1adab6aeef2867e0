"""What a run is going to do, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Line = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """What one stage is going to do.

    Attributes:
        title: Its number, length, optimizer and scheduler.
        losses: Weight, name, class and wiring of each term.
        taps: Address, shape and type of each tensor that is taken.
        parts: Name and trainable parameters of each model and loss.
        models: Each model that runs, and how far.
        notes: What could not be checked.
    """

    title: str
    losses: Sequence[Line]
    taps: Sequence[Line]
    parts: Sequence[Line]
    models: Sequence[Line]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """The stage as aligned lines."""
        blocks = {"losses": self.losses, "taps": self.taps, "learns": self.parts, "runs": self.models}
        lines = [self.title]
        for name, block in blocks.items():
            lines += [f"  {name if number == 0 else '':8}{line}" for number, line in enumerate(aligned(block))]
        return "\n".join([*lines, *(f"  note    {note}" for note in self.notes)])


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is going to do.

    Attributes:
        models: Name, class and size of each model.
        stages: The stages in order.
        measures: Split, metric and wiring of everything that is measured.
    """

    models: Sequence[Line]
    stages: Sequence[StagePlan]
    measures: Sequence[Line] = field(default=())

    def text(self) -> str:
        """The whole plan."""
        parts = ["\n".join(["models", *(f"  {line}" for line in aligned(self.models))])]
        parts += [stage.text() for stage in self.stages]
        if self.measures:
            parts.append("\n".join(["measures", *(f"  {line}" for line in aligned(self.measures))]))
        return "\n\n".join(parts)


def aligned(lines: Iterable[Line]) -> list[str]:
    """Columns of equal width, two spaces apart.

    >>> aligned([("a", "bcd"), ("ef", "g")])
    ['a   bcd', 'ef  g']
    """
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
