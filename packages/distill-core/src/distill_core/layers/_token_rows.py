"""Rows (tokens) of logits and of the tensors compared with them, taken a chunk at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ._features import at_least_float32
from ._ruled_out import can_look

_CPU_BYTES, _DEVICE_BYTES = 2 << 20, 32 << 20
"""Bytes of a chunk of rows: on the CPU as fits in its cache, on other devices as keeps them busy."""
_RUN_BYTES = 128 << 10
"""Average bytes of consecutive rows from which they are computed as they are, without gathering more into a chunk."""

Chunk: TypeAlias = "slice[int, int, None] | Tensor"
"""Rows by their index in (batch · tokens): all from one to another, or those of an index."""


class TokenRows:
    """The tokens that a loss compares, in chunks.

    Args:
        student: Logits (batch, tokens, vocabulary).
        mask: (batch, tokens), which tokens count; all by default.
        positions: For each tensor, indices of the tokens to take (batch, tokens), or None for all in order.
        chunk: Number of tokens per chunk; by default by bytes.

    Attributes:
        counted: (batch, tokens), which tokens count.
        chunk: Number of tokens per chunk.
    """

    def __init__(
        self, student: Tensor, mask: Tensor | None, positions: Sequence[Tensor | None], chunk: int | None
    ) -> None:
        first = next((index for index in positions if index is not None), None)
        shape = student.shape[:2] if first is None else first.shape
        every = torch.ones(shape, dtype=torch.bool, device=student.device)
        self.counted = every if mask is None else mask.bool()
        self.positions = positions
        self._row_bytes = max(student.shape[-1], 1) * max(student.element_size(), 4)
        self.chunk = chunk or max(1, (_CPU_BYTES if can_look(student) else _DEVICE_BYTES) // self._row_bytes)
        self._hides = mask is not None and not can_look(student)
        self._selected = None if mask is None or self._hides else _selected(self.counted)

    def chunks(self) -> list[Chunk]:
        """Return the rows to compute, at least one chunk."""
        if self._selected is None:
            return _split(0, self.counted.numel(), self.chunk) or [slice(0, 0)]
        runs = _runs(self._selected)
        if runs and self._selected.numel() * self._row_bytes >= len(runs) * _RUN_BYTES:
            return [part for start, stop in runs for part in _split(start, stop, self.chunk)]
        return list(self._selected.split(self.chunk))  # type: ignore[no-untyped-call]

    def take(self, tensors: Sequence[Tensor], chosen: Chunk) -> list[Tensor]:
        """Return the chosen rows of each tensor, floating-point ones in at least float32."""
        rows = [self._rows(tensor, index, chosen) for tensor, index in zip(tensors, self.positions, strict=True)]
        if self._hides:
            return hide_masked(self.counted.flatten()[chosen], rows)
        return [at_least_float32(row) if row.is_floating_point() else row for row in rows]

    def gathered(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return all rows of each tensor."""
        every = torch.arange(self.counted.numel(), device=self.counted.device)
        return [tensor[self._where(index, every)] for tensor, index in zip(tensors, self.positions, strict=True)]

    def collected(self, values: Sequence[Tensor]) -> Tensor:
        """Return the values of all chunks as (batch, tokens), 0 for tokens that do not count."""
        joined = torch.cat(list(values))
        if self._selected is not None:
            return joined.new_zeros(self.counted.numel()).index_copy(0, self._selected, joined).view(self.counted.shape)
        joined = joined.view(self.counted.shape)
        return torch.where(self.counted, joined, 0) if self._hides else joined

    def new_gradient(self, student: Tensor) -> Tensor:
        """Return a tensor for the gradient of all rows: zeros where it will not be written."""
        is_written = self._selected is None and self.positions[0] is None
        return torch.empty_like(student) if is_written else torch.zeros_like(student)

    def put(self, gradient: Tensor, chosen: Chunk, rows: Tensor) -> None:
        """Write the gradient of the chosen rows."""
        if isinstance(chosen, slice) and self.positions[0] is None and (flat := _flat(gradient)) is not None:
            flat[chosen] = rows
        else:
            gradient.index_put_(self._where(self.positions[0], chosen), rows.to(gradient.dtype))

    def scale(self, gradient: Tensor, weights: Tensor) -> None:
        """Multiply each row of the gradient by its weight (batch, tokens), in place."""
        if self.positions[0] is not None:
            batch = torch.arange(len(weights), device=weights.device)[:, None]
            weights = weights.new_zeros(gradient.shape[:2]).index_put((batch, self.positions[0]), weights)
        flat, weights = _flat(gradient), weights.flatten()
        if flat is None or self.positions[0] is not None:
            gradient.mul_(weights.view(*gradient.shape[:2], 1))
            return
        # By chunks: a product of two dtypes is computed in a temporary tensor, and other rows are 0.
        for chosen in self.chunks():
            if isinstance(chosen, slice):
                flat[chosen].mul_(weights[chosen][:, None])
            else:
                flat.index_copy_(0, chosen, flat.index_select(0, chosen).mul_(weights[chosen][:, None]))

    def _rows(self, tensor: Tensor, index: Tensor | None, chosen: Chunk) -> Tensor:
        flat = _flat(tensor) if index is None else None
        if flat is None:
            return tensor[self._where(index, chosen)]
        return flat[chosen] if isinstance(chosen, slice) else flat.index_select(0, chosen)

    def _where(self, index: Tensor | None, chosen: Chunk) -> tuple[Tensor, Tensor]:
        """Return the sample index and token index of each chosen row."""
        if isinstance(chosen, slice):
            chosen = torch.arange(chosen.start, chosen.stop, device=self.counted.device)
        batch, token = chosen // self.counted.shape[1], chosen % self.counted.shape[1]
        return batch, token if index is None else index[batch, token]


def hide_masked(counted: Tensor, rows: Sequence[Tensor]) -> list[Tensor]:
    """Return the rows in at least float32, with zeros where a token does not count."""
    hidden = [~counted.view(-1, *[1] * (row.dim() - 1)) for row in rows]
    return [
        at_least_float32(row).masked_fill(not_counted, 0) if row.is_floating_point() else row
        for row, not_counted in zip(rows, hidden, strict=True)
    ]


def _split(start: int, stop: int, size: int) -> list[Chunk]:
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def _runs(selected: Tensor) -> list[tuple[int, int]]:
    """Return the first index of each run of consecutive ones, and the index after its last."""
    if not selected.numel():
        return []
    ends = (selected.diff() != 1).nonzero().squeeze(1)
    first, last = selected[torch.cat([ends.new_zeros(1), ends + 1])], selected[torch.cat([ends, ends.new_tensor([-1])])]
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))


def _selected(counted: Tensor) -> Tensor | None:
    """Return the flat indices of counted tokens, or None if all count."""
    index = counted.flatten().nonzero().squeeze(1)
    return None if index.numel() == counted.numel() else index


def _flat(tensor: Tensor) -> Tensor | None:
    """Return a view (batch · tokens, …), or None if there is none."""
    batch, tokens = tensor.shape[:2]
    is_view = 1 in (batch, tokens) or tensor.stride(0) == tokens * tensor.stride(1)
    return tensor.flatten(0, 1) if is_view else None
