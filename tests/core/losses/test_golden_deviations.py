"""The page of deviations lists every golden case that is meant to differ, with the reason that its test gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from distill_core.cli.inspect._methods import LOSSES

from ...nlp.losses import test_golden as text_models
from .golden_torchdistill import TABLE as TORCHDISTILL
from .test_golden import CROSS_ENTROPIES, DIFFERENT, FOLDER

PAGE = Path(__file__).resolve().parents[3] / "docs" / "concepts" / "deviations.md"


UNVERIFIED = {
    path.stem for path in FOLDER.glob("*.json") if json.loads(path.read_text())["source"].startswith("retyped: ")
}
"""Methods whose golden file was computed by the authors' statements, retyped, not by their files."""
OTHER_FILES = {"ld_valuable_region": "ld", "sampled_reverse_kl": "sampled_kl"}
"""Files of losses that have another name than the golden file."""


def origin(case: str) -> str:
    return "the authors' code, retyped" if case.partition(":")[0] in UNVERIFIED else "the authors' code"


def rows() -> Iterator[str]:
    """Yield the rows that the tests' tables imply."""
    for case, reason in sorted({**DIFFERENT, **text_models.DIFFERENT}.items()):
        yield f"| {case} | {origin(case)} | {reason} |"
    for method in sorted(UNVERIFIED):
        yield f"| {method} | the authors' code, retyped | not verified by running their files |"
    for case in sorted(CROSS_ENTROPIES | text_models.CROSS_ENTROPIES):
        yield f"| {case} | the authors' code | the value only: a divergence instead of a cross-entropy |"
    for name, counterpart in sorted(TORCHDISTILL.items()):
        if counterpart.relation == "scaled":
            yield f"| {name} | torchdistill | theirs = ours · {counterpart.factor} |"
        elif counterpart.relation == "corrected":
            yield f"| {name} | torchdistill | theirs: {counterpart.reason} |"


def test_unverified_methods_say_so():
    """In the docstring, from which the table of methods takes it; and no other method does."""
    marked = {file.stem.removeprefix("_") for file in LOSSES.glob("_*.py") if "\nunverified: " in file.read_text()}
    assert marked == {OTHER_FILES.get(method, method) for method in UNVERIFIED}


def test_the_page_lists_what_differs():
    found = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert found[1:] == list(rows())  # after the head
