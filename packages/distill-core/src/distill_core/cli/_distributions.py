"""The distributions whose modules are imported."""

from __future__ import annotations

import importlib.metadata
import sys

OWN = ("distill-core", "distill-vision", "distill-nlp", "distill-zoo")
"""Distributions whose modules are not found in their records if they are installed as editable."""


def imported_distributions() -> dict[str, str]:
    """Return the version of each distribution of which a module is imported, by name.

    >>> "torch" in imported_distributions() or "torch" not in sys.modules
    True
    """
    modules = {name.partition(".")[0] for name in sys.modules}
    by_module = importlib.metadata.packages_distributions()
    own = [name for name in OWN if name.replace("-", "_") in modules]
    names = {name.lower(): name for module in modules for name in by_module.get(module, ())}
    names |= {name: name for name in own}
    versions = {name: _version(names[name]) for name in sorted(names)}
    return {name: version for name, version in versions.items() if version}


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
