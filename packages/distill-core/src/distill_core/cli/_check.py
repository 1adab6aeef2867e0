"""`distill check`: find all problems of a file; with `--deep`, of the models and tensors too."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..config import Document, refuse
from ._load import load_document


def check_file(
    file: str | os.PathLike[str], overrides: Sequence[str] = (), *, deep: bool = False, trust: Sequence[str] = ()
) -> None:
    """Check a file and print that there are no problems; with `deep`, print the plan of the run as well.

    Raises:
        ConfigError: There are problems; all of them are told.
        TrustError: The file names something outside the trusted packages.
    """
    document = load_document(Path(file), overrides, trust)
    text = f"\n\n{_deep(document, trust)}" if deep else ""
    print(f"{file}: no problems ({', '.join(_counts(document))}){text}")


def _deep(document: Document, trust: Sequence[str]) -> str:
    """Return the preview of a document's run as text, or refuse its problems."""
    from ..preview import build_on_meta, preview
    from ._preview_text import preview_text

    found = preview(build_on_meta(document, trust), document)
    refuse(found.problems)
    return preview_text(found)


def _counts(document: Document) -> list[str]:
    """How many models, data sets, stages and callbacks the file has."""
    sizes = {str(key.value): len(value.value) for key, value in document.root.value if isinstance(value.value, list)}
    names = {"models": "model", "data": "data set", "stages": "stage", "callbacks": "callback"}
    return [f"{sizes[key]} {name}{'s' * (sizes[key] != 1)}" for key, name in names.items() if key in sizes]
