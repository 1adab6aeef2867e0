"""Signatures of calls: the shapes of their tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..tree import children


def shape_of_call(value: Any) -> Any:
    """Return what two calls that run alike have in common: the shapes of tensors, the values of plain objects."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    parts = children(value)
    if parts is not None:
        return tuple((key, shape_of_call(part)) for key, part in parts.items())
    return value if isinstance(value, int | float | str | None) else type(value)
