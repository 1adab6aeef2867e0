"""The optional package distill_zoo and its errors."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

from ...errors import DistillError


@contextlib.contextmanager
def open_zoo(*, offline: bool = False) -> Iterator[Any]:
    """Import distill_zoo, and raise its errors as `DistillError`.

    Args:
        offline: Forbid downloads.

    Raises:
        DistillError: The package is not installed, or one of its functions raised a `ZooError`.
    """
    if offline:
        os.environ["DISTILL_OFFLINE"] = "1"
    try:
        package: Any = importlib.import_module("distill_zoo")
    except ModuleNotFoundError as error:
        if error.name != "distill_zoo":
            raise
        message = "distill_zoo is not installed"
        raise DistillError(message, hint="pip install 'distill-zoo[torch]'") from error
    try:
        yield package
    except package.ZooError as error:
        raise DistillError(error.message, key=error.key, hint=error.hint) from error
