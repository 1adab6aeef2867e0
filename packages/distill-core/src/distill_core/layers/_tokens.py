"""Losses of token sequences over a large vocabulary, computed for a chunk of tokens at a time.

Logits of a batch of sequences are the largest tensors of a run, and a direct divergence allocates several more of that
size, in float32. Here a function of a few rows (tokens) is called chunk by chunk, its intermediate results are freed,
and the backward pass calls it once more for each chunk. Peak memory is a few times chunk · vocabulary plus the
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ParamSpec, Protocol, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from ._features import at_least_float32

P = ParamSpec("P")


def per_token(
    function: Callable[P, Tensor],
    student: Tensor,
    *constants: Tensor,
    chunk: int,
    mask: Tensor | None = None,
    positions: Sequence[Tensor | None] = (),
) -> Tensor:
    """Apply `function` to each token, with its gradient, without a second tensor of the size of the logits.

    Args:
        function: Maps rows (n, vocabulary) of the student and of each constant to (n,). Floating-point rows are at
            at least float32. It may be called twice for the same rows.
        student: (batch, tokens, vocabulary).
        constants: (batch, tokens, …), without gradient.
        chunk: Number of tokens per chunk.
        mask: (batch, tokens), which tokens count. The others get rows of zeros and the value 0.
        positions: For the student and each constant, indices of the tokens to take (batch, tokens), or `None` for
            all in order.

    Returns:
        (batch, tokens).

    Raises:
        ValueError: If the student has no token dimension, or the mask has another shape.
    """
    first = next((given for given in positions if given is not None), None)
    require_token_logits(student, mask if first is None else None)
    batch, tokens = student.shape[:2] if first is None else first.shape
    order = torch.arange(tokens, device=student.device).expand(batch, tokens)
    every = torch.ones_like(order, dtype=torch.bool)
    given = [*positions, *[None] * (1 + len(constants) - len(positions))]
    indices = [order if index is None else index for index in given]
    counted = every if mask is None else mask.bool()
    tensors = [student, *[constant.detach() for constant in constants]]
    if torch.compiler.is_compiling():
        return _in_one_graph(function, chunk, counted, indices, tensors)
    values: Tensor = _PerToken.apply(partial(_call, function), chunk, counted, indices, *tensors)
    return values


def require_token_logits(logits: Tensor, mask: Tensor | None = None, name: str = "student") -> None:
    """Check that logits are (batch, tokens, vocabulary) and a mask, if given, is (batch, tokens).

    Args:
        logits: The logits.
        mask: The mask.
        name: Name of the logits in the message.

    Raises:
        ValueError: If a shape is another one.
    """
    shape = tuple(logits.shape)
    if logits.dim() != 3:
        message = f"`{name}` must be logits (batch, tokens, vocabulary), got shape {shape}: add a dimension of 1 for samples of one token"
        raise ValueError(message)
    if mask is not None and mask.shape != logits.shape[:2]:
        message = f"`mask` must be (batch, tokens), {shape[:2]} for `{name}` of shape {shape}, got {tuple(mask.shape)}"
        raise ValueError(message)


def _call(function: Callable[P, Tensor], rows: list[Tensor]) -> Tensor:
    return cast("Callable[[*tuple[Tensor, ...]], Tensor]", function)(*rows)


def _in_one_graph(
    function: Callable[P, Tensor], chunk: int, mask: Tensor, indices: list[Tensor], tensors: list[Tensor]
) -> Tensor:
    """Compute the same in one graph, for `torch.compile`, which cannot trace a custom backward pass."""

    def again(counted: Tensor, *rows: Tensor) -> Tensor:
        return _call(function, _prepared(counted, rows))

    sample = torch.arange(len(mask), device=mask.device)[:, None]
    flat = [tensor[sample, index].flatten(0, 1) for index, tensor in zip(indices, tensors, strict=True)]
    chunks = [list(tensor.split(chunk)) for tensor in (mask.flatten(), *flat)]  # type: ignore[no-untyped-call]
    values = [checkpoint(again, *rows, use_reentrant=False) for rows in zip(*chunks, strict=True)]
    return torch.where(mask, torch.cat(values).view(mask.shape), 0)


class _Context(Protocol):
    function: Callable[[list[Tensor]], Tensor]
    chunk: int
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _PerToken(torch.autograd.Function):
    """Rows are gathered by index, so that slices and transposed tensors are not copied."""

    @staticmethod
    def forward(
        ctx: _Context,
        function: Callable[[list[Tensor]], Tensor],
        chunk: int,
        mask: Tensor,
        indices: list[Tensor],
        *tensors: Tensor,
    ) -> Tensor:
        ctx.function, ctx.chunk = function, chunk
        ctx.save_for_backward(mask, *indices, *tensors)
        values = [function(_rows(mask, indices, tensors, chosen)) for chosen in _chunks(mask, chunk)]
        return torch.where(mask, torch.cat(values).view(mask.shape), 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        mask, *saved = ctx.saved_tensors
        indices, tensors = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        result, gradient = torch.zeros_like(tensors[0]), torch.where(mask, gradient, 0)
        for chosen in _chunks(mask, ctx.chunk):
            rows = _rows(mask, indices, tensors, chosen)
            with torch.enable_grad():
                values = ctx.function([rows[0].requires_grad_(), *rows[1:]])
            batch, token = _row_indices(mask, indices[0], chosen)
            (row_gradient,) = torch.autograd.grad(values, rows[0], gradient[_row_indices(mask, None, chosen)])
            result.index_put_((batch, token), row_gradient.to(result.dtype))
        return (None, None, None, None, result, *[None] * (len(tensors) - 1))


def _chunks(mask: Tensor, chunk: int) -> list[range]:
    return [range(start, min(start + chunk, mask.numel())) for start in range(0, mask.numel(), chunk)]


def _row_indices(mask: Tensor, index: Tensor | None, chosen: range) -> tuple[Tensor, Tensor]:
    """Return the sample index and token index of each chosen row."""
    flat = torch.arange(chosen.start, chosen.stop, device=mask.device)
    batch, token = flat // mask.shape[1], flat % mask.shape[1]
    return batch, token if index is None else index[batch, token]


def _rows(mask: Tensor, indices: Sequence[Tensor], tensors: Sequence[Tensor], chosen: range) -> list[Tensor]:
    rows = [tensor[_row_indices(mask, index, chosen)] for index, tensor in zip(indices, tensors, strict=True)]
    return _prepared(mask[_row_indices(mask, None, chosen)], rows)


def _prepared(counted: Tensor, rows: Sequence[Tensor]) -> list[Tensor]:
    """Return the rows in at least float32, with zeros where the mask is 0."""
    hidden = [~counted.view(-1, *[1] * (row.dim() - 1)) for row in rows]
    return [
        at_least_float32(row).masked_fill(not_counted, 0) if row.is_floating_point() else row
        for row, not_counted in zip(rows, hidden, strict=True)
    ]
