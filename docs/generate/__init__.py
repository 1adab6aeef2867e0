"""Reference pages, generated from the sources: keys and tags, commands, methods, the public API."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import api, commands, keys, methods


def write_reference(folder: Path) -> None:
    """Replace the folder of reference pages.

    Args:
        folder: The folder to write; its former content is removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pages = {"keys": keys.page(), "commands": commands.page(), "methods": methods.page(), **api.pages()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
