"""Losses of token sequences over a large vocabulary, computed for a chunk of tokens at a time.

Logits of a batch of sequences are the largest tensors of a run, and a direct divergence allocates several more of that
size, in float32. Here a function of a few rows (tokens) is called chunk by chunk, and its intermediate results are
freed. The gradient of each chunk is computed with its values, while its rows are in the processor's cache, either in
closed form or by autograd. So the only tensor of the size of the logits is the gradient, and the backward pass only
scales it.

On the CPU, tokens that do not count are skipped. On other devices counting them would synchronise with the host: there
they are computed as rows of zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from ._token_rows import TokenRows, hide_masked

P = ParamSpec("P")
Q = ParamSpec("Q")
Rows = Sequence[Tensor]
ValuesAndGradient = tuple[Tensor, Tensor]

_HALF_EXPONENT = 14
"""A row of a float16 gradient is stored at a power of two, so that its largest entry is below 2 to this."""


def per_token(
    function: Callable[P, Tensor],
    student: Tensor,
    *constants: Tensor,
    chunk: int | None = None,
    mask: Tensor | None = None,
    positions: Sequence[Tensor | None] = (),
    with_gradient: Callable[Q, ValuesAndGradient] | None = None,
) -> Tensor:
    """Apply `function` to each token, with its gradient, without a second tensor of the size of the logits.

    Args:
        function: Maps rows (n, vocabulary) of the student and of each constant to (n,). Floating-point rows are at
            at least float32. It must not write into them, and may be called twice for the same rows.
        student: (batch, tokens, vocabulary).
        constants: (batch, tokens, …), without gradient.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        mask: (batch, tokens), which tokens count. The others have the value 0.
        positions: For the student and each constant, indices of the tokens to take (batch, tokens), or `None` for
            all in order.
        with_gradient: Maps the same rows to the values and the gradient of their sum by the student's rows, in closed
            form. By default autograd computes it.

    Returns:
        (batch, tokens). A second derivative raises.

    Raises:
        ValueError: If the student has no token dimension, or the mask has another shape.
    """
    first = next((given for given in positions if given is not None), None)
    require_token_logits(student, mask if first is None else None)
    tensors = [student, *[constant.detach() for constant in constants]]
    rows = TokenRows(student, mask, [*positions, *[None] * (len(tensors) - len(positions))], chunk)
    if torch.compiler.is_compiling():
        return _in_one_graph(function, rows, tensors)
    call = _RowFunction(function, with_gradient)
    needs_gradient = torch.is_grad_enabled() and student.requires_grad
    values: Tensor = _PerToken.apply(call, needs_gradient, rows, *tensors)
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


def require_same_vocabulary(student: Tensor, teacher: Tensor) -> None:
    """Check that logits that are compared one by one have the same shape.

    Raises:
        ValueError: If the shapes differ. For logits of two vocabularies the message names the loss that takes them.
    """
    if student.shape == teacher.shape:
        return
    message = f"`student` {tuple(student.shape)} and `teacher` {tuple(teacher.shape)} must have the same shape"
    if student.dim() == 3 and student.shape[:2] == teacher.shape[:2]:
        message += ": logits of two tokenizers can be compared by ULDLoss, and of one tokenizer up to its last token"
    raise ValueError(message)


class _RowFunction:
    """A function of rows, with or without the gradient by the first of them."""

    def __init__(
        self, function: Callable[P, Tensor], with_gradient: Callable[Q, ValuesAndGradient] | None = None
    ) -> None:
        self.function = cast("Callable[[*tuple[Tensor, ...]], Tensor]", function)
        self.closed = cast("Callable[[*tuple[Tensor, ...]], ValuesAndGradient] | None", with_gradient)

    def values(self, rows: Rows) -> Tensor:
        return self.function(*rows)

    def with_gradient(self, rows: Rows) -> ValuesAndGradient:
        if self.closed is not None:
            return self.closed(*rows)
        student = rows[0].detach().requires_grad_()
        with torch.enable_grad():
            values = self.function(student, *rows[1:])
        (gradient,) = torch.autograd.grad(values, student, torch.ones_like(values))
        return values.detach(), gradient


def _in_one_graph(function: Callable[P, Tensor], rows: TokenRows, tensors: list[Tensor]) -> Tensor:
    """Compute the same in one graph, for `torch.compile`, which cannot trace a custom backward pass."""
    call = _RowFunction(function)

    def again(counted: Tensor, *rows: Tensor) -> Tensor:
        return call.values(hide_masked(counted, rows))

    chunks = [tensor.split(rows.chunk) for tensor in (rows.counted.flatten(), *rows.gathered(tensors))]  # type: ignore[no-untyped-call]
    values = [checkpoint(again, *parts, use_reentrant=False) for parts in zip(*chunks, strict=True)]
    return torch.where(rows.counted, torch.cat(values).view(rows.counted.shape), 0)


class _Context(Protocol):
    call: _RowFunction
    rows: TokenRows
    gradient: Tensor | None
    factors: Tensor | None
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _PerToken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, call: _RowFunction, needs_gradient: bool, rows: TokenRows, *tensors: Tensor) -> Tensor:
        if not needs_gradient:
            return rows.collected([call.values(rows.take(tensors, chosen)) for chosen in rows.chunks()])
        ctx.call, ctx.rows = call, rows
        ctx.save_for_backward(*tensors)
        values, ctx.gradient, ctx.factors = _values_and_gradient(call, rows, tensors)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradient, factors = ctx.gradient, ctx.factors
        if gradient is None:  # given away by an earlier pass with `retain_graph`
            _, gradient, factors = _values_and_gradient(ctx.call, ctx.rows, ctx.saved_tensors)
        ctx.gradient = None
        weights = torch.where(ctx.rows.counted, upstream, 0)
        ctx.rows.scale(gradient, weights if factors is None else weights * factors)
        return (None, None, None, gradient, *[None] * (len(ctx.saved_tensors) - 1))


def _values_and_gradient(
    call: _RowFunction, rows: TokenRows, tensors: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the values, the gradient of each by its row, and the factor that each row of float16 lacks, if any."""
    gradient = rows.new_gradient(tensors[0])
    values, factors = [], []
    for chosen in rows.chunks():
        row_values, row_gradient = call.with_gradient(rows.take(tensors, chosen))
        values.append(row_values)
        if gradient.dtype == torch.float16:
            factors.append(_to_half_range(row_gradient))
        rows.put(gradient, chosen, row_gradient)
    return rows.collected(values), gradient, rows.collected(factors) if factors else None


def _to_half_range(gradient: Tensor) -> Tensor:
    """Scale each row by a power of two, in place, and return the inverse: float16 would lose small probabilities."""
    exponent = torch.frexp(gradient.abs().amax(-1)).exponent.clamp(-100, 100) - _HALF_EXPONENT
    gradient.mul_(torch.exp2(-exponent.to(gradient.dtype))[:, None])
    return torch.exp2(exponent.to(gradient.dtype))
