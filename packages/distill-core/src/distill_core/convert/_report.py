"""The report of a conversion: what became of each place of the old file, with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Outcome = Literal["exact", "corrected", "lost"]


@dataclass(frozen=True)
class Finding:
    """What became of one place of the old file.

    Attributes:
        line: Its line, from 1.
        outcome: `exact`, `corrected` or `lost`.
        place: Its path of keys.
        message: What was written for it, or why nothing was.
        hint: What to write instead of a lost place.
    """

    line: int
    outcome: Outcome
    place: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        advice = f" ({self.hint})" if self.hint else ""
        return f"{self.line:>5}  {self.outcome:<9}  {self.place}: {self.message}{advice}"


@dataclass
class Report:
    """The findings of one file, each place once."""

    findings: list[Finding] = field(default_factory=list)

    def add(self, line: int, outcome: Outcome, place: str, message: str, hint: str = "") -> None:
        """Add a finding that is not in the report."""
        finding = Finding(line, outcome, place, message, hint)
        if finding not in self.findings:
            self.findings.append(finding)

    def __iter__(self) -> Iterator[Finding]:
        return iter(sorted(self.findings, key=lambda finding: finding.line))

    def count(self, outcome: Outcome) -> int:
        """Return the number of findings with an outcome."""
        return sum(finding.outcome == outcome for finding in self.findings)

    @property
    def lost(self) -> list[Finding]:
        """The places for which nothing could be written."""
        return [finding for finding in self if finding.outcome == "lost"]

    def summary(self) -> str:
        """Return the counts in one line."""
        return f"{self.count('exact')} exact, {self.count('corrected')} corrected, {self.count('lost')} lost"

    def records(self) -> list[dict[str, Any]]:
        """Return the findings as plain data, in the order of their lines."""
        return [asdict(finding) for finding in self]
