"""One diagnostic of `distill doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One diagnostic: severity, subject, message, suggested fix.

    Attributes:
        state: `ok`; `note`, something optional is missing or slow; `problem`, something will not work.
        subject: The subject in one word.
        message: The finding.
        hint: The suggested fix, if any.
    """

    state: Literal["ok", "note", "problem"]
    subject: str
    message: str
    hint: str = ""


def ok(subject: str, message: str, hint: str = "") -> Finding:
    """Return a finding of something that works."""
    return Finding("ok", subject, message, hint)


def note(subject: str, message: str, hint: str = "") -> Finding:
    """Return a finding of something optional that is missing or slow."""
    return Finding("note", subject, message, hint)


def problem(subject: str, message: str, hint: str = "") -> Finding:
    """Return a finding of something that does not work."""
    return Finding("problem", subject, message, hint)
