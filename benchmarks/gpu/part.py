"""A part of the benchmark: a table whose rows are measured one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Setting:
    """Where and at which size the parts measure.

    Attributes:
        device: `cuda`, or `cpu` for a trial run.
        is_tiny: Whether models and data are tiny, so that all parts take seconds on a CPU.
    """

    device: str
    is_tiny: bool

    @property
    def torch_device(self) -> torch.device:
        """The device as torch names it."""
        return torch.device(self.device)


Measure = Callable[[], Sequence[str]]
Rows = Iterator[tuple[str, Measure]]


@dataclass(frozen=True)
class Part:
    """One section of the page.

    Attributes:
        title: Its heading.
        about: What is measured.
        heads: The heads of the table, that of the labels first.
        seconds: The time after which it is stopped; rows that are measured by then are kept.
        rows: Yields the label of each row and the function that measures its other cells.
    """

    title: str
    about: str
    heads: tuple[str, ...]
    seconds: int
    rows: Callable[[Setting], Rows]


class SkippedError(Exception):
    """Raised by a row that cannot be measured here; its message is written into the table."""


def measured(label: str, measure: Measure) -> list[str]:
    """Return the cells of a row; of one that fails, its label and the reason."""
    try:
        return [label, *measure()]
    except SkippedError as reason:
        return [label, f"not measured: {reason}"]
    except Exception as error:  # noqa: BLE001 — the other rows are measured in any case
        lines = str(error).strip().splitlines() or [""]
        return [label, f"failed: {type(error).__name__}: {lines[0][:200]}"]
