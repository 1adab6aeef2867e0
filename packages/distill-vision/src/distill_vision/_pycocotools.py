"""pycocotools, or what to do where it is not installed."""

from __future__ import annotations

import importlib
from typing import Any

from distill_core.errors import DataError


def mask_tools() -> Any:
    """Its functions for masks.

    Raises:
        DataError: It is not installed.
    """
    try:
        return importlib.import_module("pycocotools.mask")
    except ModuleNotFoundError as error:
        message = (
            "pycocotools, which draws COCO's masks, is not installed\n  hint: pip install 'distill-vision[detection]'"
        )
        raise DataError(message) from error
