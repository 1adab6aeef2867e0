"""Lazy import of optional packages."""

from __future__ import annotations

import importlib
from typing import Any

from ._errors import ZooError

EXTRAS = {
    "distill_nlp": "nlp",
    "distill_vision": "vision",
    "huggingface_hub": "hub",
    "torch": "torch",
    "torchvision": "vision",
    "transformers": "nlp",
}


def optional(module: str, purpose: str) -> Any:
    """Import a module.

    Args:
        purpose: The beginning of the error message, such as `building digits/convnet64 requires distill_vision`.

    Raises:
        ZooError: The module's package is not installed.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        requirement = f"'distill-zoo[{EXTRAS[package]}]'" if package in EXTRAS else package
        message = f"{purpose}, which is not installed"
        raise ZooError(message, hint=f"pip install {requirement}") from error
