"""Pretrained models that PyPI packages ship."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def folder_of(package: str) -> Path:
    """Return the folder of a package without importing it."""
    (place,) = find_spec(package).submodule_search_locations
    return Path(place)
