"""Reference pages, generated from the sources: keys and tags, commands, methods, messages, the public API."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import api, commands, keys, messages, methods


def write_reference(folder: Path) -> None:
    """Replace the folder of reference pages.

    Args:
        folder: The folder to write; its former content is removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in reference().items():
        path = folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def reference() -> dict[str, str]:
    """Return all reference pages by name."""
    single = {"keys": keys.page(), "commands": commands.page(), "messages": messages.page()}
    return {**single, **methods.pages(), **api.pages()}
