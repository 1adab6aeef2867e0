"""One thing that `distill doctor` has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What is so, and what to do about it.

    Attributes:
        state: `ok`; `note`, something is not there or could be better; `problem`, something will not work.
        subject: What it is about, in a word.
        message: What is so.
        hint: What to do, if anything.
    """

    state: Literal["ok", "note", "problem"]
    subject: str
    message: str
    hint: str = ""


def ok(subject: str, message: str, hint: str = "") -> Finding:
    """It works."""
    return Finding("ok", subject, message, hint)


def note(subject: str, message: str, hint: str = "") -> Finding:
    """It works without."""
    return Finding("note", subject, message, hint)


def problem(subject: str, message: str, hint: str = "") -> Finding:
    """It does not work."""
    return Finding("problem", subject, message, hint)
