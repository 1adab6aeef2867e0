"""Optional import of pycocotools."""

from __future__ import annotations

import importlib
from typing import Any

from distill_core.errors import DataError


def mask_tools() -> Any:
    """Return the module of mask functions.

    Raises:
        DataError: pycocotools is not installed.
    """
    try:
        return importlib.import_module("pycocotools.mask")
    except ModuleNotFoundError as error:
        message = "pycocotools, which draws COCO's masks, is not installed"
        raise DataError(message, hint="pip install 'distill-vision[detection]'") from error
