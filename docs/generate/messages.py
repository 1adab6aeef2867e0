"""The page of messages: every problem of a file by its id, with a text that causes it, from the cases of the tests."""

from __future__ import annotations

import runpy
from typing import Any

from .docstrings import escaped
from .results import TOP

CASES = TOP / "tests/core/config/test_messages.py"
LONGEST = 300
"""Characters of the longest text that is shown as an example."""


def page() -> str:
    """Return the page as Markdown, a section for each message."""
    parts = [
        "# Messages of a file",
        "Every problem that `distill check` and `distill run` report of a file, by its id, which `--json` prints. The example is a file or, "
        "where it begins with `!`, the value of a key.",
    ]
    for case in sorted(cases(), key=lambda case: case.id):
        parts += [f"## {case.id}", escaped(case.message), *([f"Hint: {escaped(case.hint)}."] if case.hint else [])]
        if (
            isinstance(case.text, str)
            and 0 < len(case.text) <= LONGEST
            and case.text.isprintable() | ("\n" in case.text)
        ):
            parts.append(f"```text\n{case.text.strip()}\n```")
        if case.override:
            parts.append(f"With the change `{case.override}` on the command line.")
    return "\n\n".join(parts) + "\n"


def cases() -> list[Any]:
    """Return the cases of the tests: id, text, message and hint."""
    return list(runpy.run_path(str(CASES))["CASES"])
