"""A frozen model in another precision than the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...tree import map_tensors, tensors

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def in_precision(
    precision: str, run: Callable[..., Mapping[str, Any]], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> list[Any]:
    """Return the values of `run` in mixed precision, or in `fp32` although the run is in mixed precision.

    Args:
        precision: `fp32`, `bf16` or `fp16`.
        run: From inputs to values by address.
        arguments: Inputs by position.
        keywords: Inputs by name.

    Returns:
        The values; what came in half precision is float32 if the run is not itself in mixed precision.
    """
    device = next((tensor.device.type for tensor in tensors([arguments, dict(keywords)])), "cpu")
    if device == "meta":  # only shapes are asked for
        return list(run(*arguments, **keywords).values())
    is_mixed, dtype = torch.is_autocast_enabled(device), _TYPES[precision]
    with torch.autocast(device, dtype if precision != "fp32" else None, enabled=precision != "fp32"):
        values = list(run(*arguments, **keywords).values())
    return values if is_mixed else [map_tensors(value, _as_float32) for value in values]


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
