"""Recognition of a file of torchdistill by its keys."""

from __future__ import annotations

import re

_TOP = re.compile(r"^(datasets|models|train|test)\s*:", re.MULTILINE)
_OURS = re.compile(r"^(stages|data|base)\s*:", re.MULTILINE)
_THEIRS = re.compile(
    r"^\s+(train_data_loader|student_model|teacher_model|forward_proc|criterion|sub_terms)\s*:", re.MULTILINE
)


def is_torchdistill(text: str) -> bool:
    r"""Return whether a text has the keys of a file of torchdistill and not those of ours.

    >>> is_torchdistill("models:\n  student_model:\ntrain:\n  criterion:\n"), is_torchdistill("models: {}\nstages: []\n")
    (True, False)
    """
    has_top = {"models", "train"} <= set(_TOP.findall(text))
    return has_top and not _OURS.search(text) and _THEIRS.search(text) is not None
