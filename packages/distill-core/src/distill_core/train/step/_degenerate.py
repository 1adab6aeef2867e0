"""Losses that cannot teach for the shapes of their inputs, such as a norm over one position."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...data import preserve_rng_state
from ...distributed import world_size
from ...errors import Problem
from ...tree import map_tensors, tensors

_MOST_VALUES = 2**22
"""Number of values in the inputs above which a loss is not probed."""
_MOST_SAMPLES = 2
"""Number of samples up to which a batch may be too small."""
_TINY = 1e-5
"""Share of the gradient for larger shapes that counts as none: rounding."""
_ZERO = 1e-6
"""The greatest value of a loss that may be 0 for any inputs."""
_PURE = ("distill_core", "distill_nlp", "distill_vision", "torch")
"""Packages whose losses have no side effects."""
_SEEDS = range(4)
"""Seeds of the random inputs: one draw may have no gradient by accident."""
_SCALES = (1.0, 0.1, 10.0, 100.0)
"""Factors of the random values: a loss with a margin or a threshold may be 0 for most values of one of them."""
_LARGER = 4
"""The larger number of positions, tokens or channels that is tried."""

Shape = tuple[int, ...]


def degenerate(
    loss: Callable[..., Any],
    arguments: Mapping[str, Any],
    value: Any = None,
    *,
    with_classes: bool = True,
    with_batch: bool = True,
) -> Problem | None:
    """Return a problem if a loss has no finite gradient for the shapes of its inputs, and has one for larger shapes.

    The loss gets random values, so that inputs that happen to be equal are not a problem. What fails is not known, and
    taken to be fine.

    Args:
        loss: The loss.
        arguments: Its inputs; those on the meta device are drawn on the CPU.
        value: What it returned for them. A loss of other packages is called again only if it is a module, whose copy is
            called, and this is 0 or not finite: its calls may have side effects.
        with_classes: Whether one class may be too few.
        with_batch: Whether the batch may be too small; not if other batches are larger.

    >>> problem = degenerate(lambda student: student.softmax(-1).square().sum(), {"student": torch.ones(5, 1)})
    >>> problem.message
    'its gradient is always 0 for one channel or class'
    """
    given = [tensor for tensor in tensors(arguments) if tensor.is_floating_point()]
    if sum(tensor.numel() for tensor in given) > _MOST_VALUES or not _is_local(loss):
        return None
    hypotheses = [*_hypotheses([tuple(tensor.shape) for tensor in given], arguments, with_classes, with_batch)]
    if not hypotheses or not _may_be_called(loss, value):
        return None
    first, *others = _SCALES
    actual = _gradient(loss, arguments, lambda shape: shape, first)
    if actual is None:
        return None
    for what, hint, larger in hypotheses:
        how = _failure(actual, _gradient(loss, arguments, larger, first))
        if how and all(_fails_at(loss, arguments, larger, scale) for scale in others):
            return Problem(f"its gradient is {how} for {what}", hint=hint)
    return None


def _failure(actual: float, other: float | None) -> str:
    """Return how a gradient fails beside that for larger shapes; empty if it does not."""
    if other is None or not 0 < other < math.inf or _TINY * other < actual < math.inf:
        return ""
    return "always 0" if actual <= _TINY * other else "not finite"


def _fails_at(
    loss: Callable[..., Any], arguments: Mapping[str, Any], larger: Callable[[Shape], Shape], scale: float
) -> bool:
    """Return whether a gradient fails also for values of another scale, or that for larger shapes does, too."""
    actual, other = (_gradient(loss, arguments, each, scale) for each in (lambda shape: shape, larger))
    if actual is None or other is None or not 0 < other < math.inf:
        return True
    return bool(_failure(actual, other))


def _may_be_called(loss: Callable[..., Any], value: Any) -> bool:
    """Return whether a loss may be called again."""
    is_pure = str(getattr(loss, "__module__", "")).partition(".")[0] in _PURE
    if is_pure or not isinstance(value, Tensor) or value.is_meta:
        return True
    is_copied = isinstance(loss, nn.Module)  # a function has no copy: what it changes would stay changed
    return is_copied and (value.numel() != 1 or not _ZERO < abs(float(value.detach())) < math.inf)


def _is_local(loss: Callable[..., Any]) -> bool:
    """Return whether a loss can be called in this process alone."""
    return world_size() == 1 or getattr(loss, "reduction_scope", "") == "sample"


def _hypotheses(
    shapes: list[Shape], arguments: Mapping[str, Any], with_classes: bool, with_batch: bool
) -> Iterator[tuple[str, str, Callable[[Shape], Shape]]]:
    """Yield what may be too small, what to do about it, and a function to larger shapes."""
    if any(len(shape) > 3 and set(shape[2:]) == {1} for shape in shapes):
        what, hint = "maps of one position", "tap an earlier layer, whose maps have several positions"
        yield what, hint, lambda shape: _enlarged(shape, range(2, len(shape))) if len(shape) > 3 else shape
    if any(len(shape) == 3 and shape[1] == 1 for shape in shapes):
        what, hint = "sequences of one token", "tap an output with several tokens"
        yield what, hint, lambda shape: _enlarged(shape, [1]) if len(shape) == 3 else shape
    batch = {len(tensor) for tensor in tensors(arguments) if tensor.dim() > 0}
    if with_batch and len(batch) == 1 and 0 < (size := batch.pop()) <= _MOST_SAMPLES:
        what, hint = f"a batch of {size} sample{'s' * (size > 1)}", "increase `batch_size`"
        yield what, hint, lambda shape: (8 * size, *shape[1:]) if shape else shape
    if with_classes and any(len(shape) in (2, 4) and shape[1] == 1 for shape in shapes):
        what, hint = (
            "one channel or class",
            "tap a tensor with several, or use a loss that compares values, such as MSELoss",
        )
        yield what, hint, lambda shape: _enlarged(shape, [1]) if len(shape) in (2, 4) else shape


def _enlarged(shape: Shape, axes: range | list[int]) -> Shape:
    return tuple(_LARGER if axis in axes and size == 1 else size for axis, size in enumerate(shape))


def _gradient(
    loss: Callable[..., Any], arguments: Mapping[str, Any], larger: Callable[[Shape], Shape], scale: float
) -> float | None:
    """Return the greatest absolute gradient of the inputs over several random values; None if the loss fails.

    The samples of integers, such as labels, are drawn with replacement, so that some are equal.

    Args:
        loss: The loss.
        arguments: Its inputs, of which dtype and shape are read.
        larger: Returns the shape to use for a shape.
        scale: A factor of the random values.
    """
    leaves: list[Tensor] = []

    def fresh(tensor: Tensor) -> Tensor:
        shape, device = larger(tuple(tensor.shape)), "cpu" if tensor.is_meta else tensor.device
        if tensor.is_floating_point():
            leaves.append(torch.randn(shape, device=device).mul_(scale).requires_grad_())
            return leaves[-1]
        values = torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu") if tensor.is_meta else tensor
        repeats = [now // max(before, 1) for now, before in zip(shape, tensor.shape, strict=True)]
        values = values.repeat(repeats) if repeats else values
        return values[rows.to(device)] if values.dim() and len(values) == len(rows) else values

    size = max((larger(tuple(tensor.shape))[0] for tensor in tensors(arguments) if tensor.dim()), default=0)
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    found: list[float] = []
    try:
        for seed in _SEEDS:
            leaves.clear()
            with torch.random.fork_rng(devices), preserve_rng_state(), torch.enable_grad():
                torch.manual_seed(seed)
                rows = torch.randint(max(size, 1), (size,))
                value = _with_data(loss)(**{name: map_tensors(given, fresh) for name, given in arguments.items()})
                gradients: tuple[Tensor | None, ...] = torch.autograd.grad(value, leaves, allow_unused=True)
            found += [
                float(gradient.abs().max()) for gradient in gradients if gradient is not None and gradient.numel()
            ]
    except Exception:  # noqa: BLE001 — that the loss fails is reported where it is called
        return None
    return max(found, key=lambda value: (not math.isfinite(value), value)) if found else 0.0


def _with_data(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy of a loss whose parameters have values."""
    copied = copy.deepcopy(loss)
    if isinstance(copied, nn.Module) and any(part.is_meta for part in _state(copied)):
        copied.to_empty(device="cpu")
        for part in _state(copied):
            part.data.normal_(0, 0.1) if part.is_floating_point() else part.data.zero_()
    return copied


def _state(module: nn.Module) -> Iterator[Tensor]:
    return itertools.chain(module.parameters(), module.buffers())
