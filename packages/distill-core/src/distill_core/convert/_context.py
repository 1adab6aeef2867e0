"""What the parts of a conversion share: the report, the choice of published numbers, and the names given so far."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ._old import LostError, Old, Place
from ._output import Commented
from ._report import Report
from ._text_task import TextTask

MALFORMED = (KeyError, TypeError, ValueError, AttributeError)
"""Errors of values that have another type than torchdistill takes, or are missing."""


def malformed(error: Exception) -> str:
    """Return the message for one of `MALFORMED`."""
    if isinstance(error, KeyError) and error.args:
        return f"the key '{error.args[0]}' is missing, or '{error.args[0]}' is not known here"
    return "a value below has another type than torchdistill takes"


@dataclass
class Context:
    """The state of one conversion.

    Attributes:
        old: The old file.
        as_published: Whether to keep torchdistill's numbers where the paper says otherwise.
        task: `classification`, `detection`, `segmentation`, `glue` or `text`.
        report: The findings.
        num_classes: The number of classes of the student.
        text: What the parts of a text file share.
        redesigned: Sides, `teacher` or `student`, of which a stage runs some modules only.
        keys: The keys of the models, by side.
        used: The ids of datasets that a loader uses.
        checkpoints: Side and key of a wrapper's checkpoint → its file.
        num_negatives: The number of negatives that the dataset draws for CRD.
    """

    old: Old
    as_published: bool = False
    task: str = "classification"
    report: Report = field(default_factory=Report)
    num_classes: int = 1000
    text: TextTask = field(default_factory=TextTask)
    redesigned: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    checkpoints: dict[tuple[str, str], str] = field(default_factory=dict)
    num_negatives: int | None = None

    def exact(self, place: Place, message: str) -> None:
        """Report a place that is numerically equal in the new file."""
        self.report.add(place.line, "exact", place.path, message)

    def corrected(self, place: Place, message: str, *, published: str = "") -> None:
        """Report a place where the paper says otherwise.

        Args:
            place: The place.
            message: What is different and why.
            published: What is written with `as_published`, which is then exact.
        """
        if self.as_published and published:
            self.exact(place, published)
        else:
            self.report.add(place.line, "corrected", place.path, message)

    def lost(self, place: Place, message: str, hint: str = "") -> None:
        """Report a place for which nothing, or something else, is written."""
        self.report.add(place.line, "lost", place.path, message, hint)

    @contextmanager
    def losing(self, place: Place) -> Generator[None, None, None]:
        """Report a `LostError` and continue; the place below which it happened needs no second finding."""
        try:
            yield
        except LostError as error:
            place.ignore()
            self.lost(error.place, error.message, error.hint)
        except MALFORMED as error:
            place.ignore()
            self.lost(place, malformed(error))

    def attempt(self, place: Place, convert: Callable[[], Any]) -> Any:
        """Return the result of a conversion; None if the place is lost."""
        results: list[Any] = []
        with self.losing(place):
            results.append(convert())
        return results[0] if results else None

    def commented(self, place: Place, value: Any) -> Any:
        """Return a value with the comments that the old file has at a place."""
        lines = self.old.comments.take(place.line)
        return Commented(value, lines) if lines else value
