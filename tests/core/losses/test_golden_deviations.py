"""The page of deviations lists every golden case that is meant to differ, with the reason that its test gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...nlp.losses import test_golden as text_models
from .golden_torchdistill import TABLE as TORCHDISTILL
from .test_golden import CROSS_ENTROPIES, DIFFERENT

PAGE = Path(__file__).resolve().parents[3] / "docs" / "concepts" / "deviations.md"


def rows() -> Iterator[str]:
    """Yield the rows that the tests' tables imply."""
    for case, reason in sorted({**DIFFERENT, **text_models.DIFFERENT}.items()):
        yield f"| {case} | the authors' code | {reason} |"
    for case in sorted(CROSS_ENTROPIES | text_models.CROSS_ENTROPIES):
        yield f"| {case} | the authors' code | the value only: a divergence instead of a cross-entropy |"
    for name, counterpart in sorted(TORCHDISTILL.items()):
        if counterpart.relation == "scaled":
            yield f"| {name} | torchdistill | theirs = ours · {counterpart.factor} |"
        elif counterpart.relation == "corrected":
            yield f"| {name} | torchdistill | theirs: {counterpart.reason} |"


def test_the_page_lists_what_differs():
    found = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert found[1:] == list(rows())  # after the head
