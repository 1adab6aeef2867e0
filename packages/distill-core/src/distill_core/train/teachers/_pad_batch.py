"""Pad the last, smaller batch of a frozen model to full size by repeating samples.

Kernels for three rows and for a hundred may add up in another order. With one size a sample's output does not depend on
whether it came in the last batch; so what a cache holds has the bits of what a live teacher gives. Shapes that do not
change also suit early stop, and kernels that are chosen by shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...tree import children, map_tensors, tensors

Run = Callable[[tuple[Any, ...], Mapping[str, Any]], list[Any]]


class PadBatch:
    """Pads batches for a model whose outputs have the batch as their first dimension.

    Whether they have shows with the first small batch, which is run as it is, too.

    Args:
        size: Number of samples in a full batch.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._suits: bool | None = None

    def __call__(self, run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any], rows: int) -> list[Any]:
        """Return the values of `run` for a batch of `rows` samples."""
        if rows >= self.size or rows == 0 or self._suits is False or torch.compiler.is_compiling():
            return run(arguments, keywords)
        if any(_has_one_each(value, rows) for value in (*arguments, *keywords.values())):
            return run(arguments, keywords)
        plain = run(arguments, keywords) if self._suits is None else []
        order: dict[torch.device, Tensor] = {}

        def fill(tensor: Tensor) -> Tensor:
            if tensor.dim() == 0 or len(tensor) != rows:
                return tensor
            if tensor.device not in order:
                order[tensor.device] = torch.arange(self.size, device=tensor.device) % rows
            return tensor.index_select(0, order[tensor.device])

        whole = run(map_tensors(arguments, fill), map_tensors(dict(keywords), fill))
        if self._suits is None:
            self._suits = all(_have(value, rows) for value in plain) and all(_have(value, self.size) for value in whole)
            if not self._suits:
                return plain
        return [map_tensors(value, lambda tensor: tensor[:rows]) for value in whole]


def _has_one_each(value: Any, rows: int) -> bool:
    """Return whether a value contains a list of one item per sample, such as images of different sizes, or strings."""
    if isinstance(value, list | tuple) and not hasattr(value, "_fields") and len(value) == rows:
        return True
    return any(_has_one_each(part, rows) for part in (children(value) or {}).values())


def _have(value: Any, rows: int) -> bool:
    found: Sequence[Tensor] = tensors(value)
    return bool(found) and all(tensor.dim() > 0 and len(tensor) == rows for tensor in found)
