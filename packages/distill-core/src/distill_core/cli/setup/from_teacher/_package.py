"""Import of a package of Distill that the data need."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from ..._exit import refuse


def package(name: str) -> Any:
    """Return a module of a package of Distill.

    Raises:
        ConfigError: The package is not installed.
    """
    root = name.partition(".")[0]
    if importlib.util.find_spec(root) is None:
        refuse(f"these data need {root}", f"pip install {root.replace('_', '-')}")
    return importlib.import_module(name)
