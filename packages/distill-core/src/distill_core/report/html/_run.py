"""What a report shows of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReportRun:
    """A run in a report.

    Attributes:
        row: Title of its row; runs of one row have one colour.
        name: Its own name, with the seed or the folder.
        records: The lines of its `metrics.jsonl`, each with `stage`, `epoch`, `step` and `split`.
        pictures: PNG files that the run drew.
    """

    row: str
    name: str
    records: Sequence[Mapping[str, Any]] = ()
    pictures: Sequence[bytes] = field(default=())
