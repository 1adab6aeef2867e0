"""No location depends on the wording of a message."""

from __future__ import annotations

import re
from pathlib import Path

from distill_core.errors import Problem

TEXTS = [
    case.partition("\n")[2].partition("=>\n")[0]
    for table in sorted((Path(__file__).parent / "malformed").glob("*.txt"))
    for case in re.split(r"^=== ", table.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
]


def _found(problems):
    found = [problems(text, files={"part.yaml": "a: 1\n", "base.yaml": "seed: 1\n"}) for text in TEXTS]
    return [[(item.id, item.location, item.source, item.key) for item in each] for each in found]


def test_rewording_every_message_moves_no_caret(problems, monkeypatch):
    before = _found(problems)
    assert sum(map(len, before)) > 100
    original = Problem.__init__

    def reworded(self, message, *args, **kwargs):
        original(self, f"reworded: {message[::-1]}", *args, **kwargs)

    monkeypatch.setattr(Problem, "__init__", reworded)
    assert _found(problems) == before
