"""Handling of classes at −∞ in logits, such as masked classes and padded vocabularies.

Every loss that uses a softmax follows these rules:

- A class that is −∞ in student and teacher is excluded. Value and gradient are those of the loss without it.
- A class that is −∞ on one side, where the divergence is infinite, raises. Forward divergences need every class that the
  teacher allows, reverse ones every class that the student allows. A loss that is finite there (JSD, skewed,
  Wasserstein) stays finite.

Reading values is cheap on the CPU: logits without −∞ take a fast path, and an infinite value raises in each call. On
other devices reading synchronises with the host. There the masks are always applied, and an infinite value raises only
inside `checks_on_every_device`, which wraps the first step of a run. In later steps the value is infinite and the
trainer's check for non-finite losses reports it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from ..errors import DataError

SHOWN = 5
"""How many classes a message names."""

_every_device: ContextVar[bool] = ContextVar("every_device", default=False)
_no_values: ContextVar[bool] = ContextVar("no_values", default=False)


@contextmanager
def checks_on_every_device(enabled: bool = True) -> Iterator[None]:
    """Return a context in which one-sided −∞ classes raise on accelerators too, at the cost of synchronising."""
    token = _every_device.set(enabled)
    try:
        yield
    finally:
        _every_device.reset(token)


@contextmanager
def without_values() -> Iterator[None]:
    """Return a context in which losses read no values on any device, for fake tensors on the CPU."""
    token = _no_values.set(True)
    try:
        yield
    finally:
        _no_values.reset(token)


def can_look(tensor: Tensor) -> bool:
    """Return whether reading a tensor's values is cheap: on the CPU and not while compiling."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling() and not _no_values.get()


def may_read(tensor: Tensor) -> bool:
    """Return whether a check may read a tensor's values: it is cheap, or `checks_on_every_device` is active."""
    return can_look(tensor) or (_every_device.get() and not tensor.is_meta and not torch.compiler.is_compiling())


def ruled_out(logits: Tensor) -> Tensor | None:
    """Return which entries are −∞, or None if known to be none.

    >>> ruled_out(torch.tensor([0.0, -torch.inf]))
    tensor([False,  True])
    """
    if can_look(logits) and logits.numel() and logits.detach().amin() > -torch.inf:
        return None
    return logits.isneginf()


def excluded(student: Tensor, teacher: Tensor) -> Tensor | None:
    """Return which classes are −∞ on both sides, or None if known to be none.

    >>> excluded(torch.tensor([0.0, -torch.inf, -torch.inf]), torch.tensor([0.0, 1.0, -torch.inf]))
    tensor([False, False,  True])
    """
    ours = ruled_out(student)
    theirs = None if ours is None else ruled_out(teacher)
    return None if ours is None or theirs is None else ours & theirs


def nothing_left(logits: Tensor) -> Tensor | None:
    """Return the rows (batch, 1) in which every class is −∞, whose softmax is NaN; None if known to be empty.

    >>> nothing_left(torch.tensor([[0.0, -torch.inf], [-torch.inf, -torch.inf]]))
    tensor([[False],
            [ True]])
    """
    hidden = ruled_out(logits)
    return None if hidden is None else hidden.all(1, keepdim=True)


def filled(tensor: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """Fill `tensor` with `value` where the mask is True. Return it unchanged if the mask is None.

    >>> filled(torch.tensor([1.0, 2.0]), torch.tensor([False, True]), 0)
    tensor([1., 0.])
    """
    return tensor if mask is None else tensor.masked_fill(mask, value)


def refuse_infinite(
    values: Tensor,
    student: Tensor,
    teacher: Tensor,
    dim: int = -1,
    *,
    reverse: bool = False,
    numbers: Tensor | None = None,
    what: str = "class",
) -> Tensor:
    """Return `values`, or raise if they are not finite because one side rules out a class that the other allows.

    Args:
        values: Divergences of any shape.
        student: Logits or logarithms of probabilities.
        teacher: The same. The number of classes may differ where classes are not compared one by one.
        dim: The dimension of the classes.
        reverse: The divergence is infinite at −∞ of the teacher, not of the student.
        numbers: Class index of each entry if the entries are a selection; same shape as `student`.
        what: Word for a class in the message.

    Raises:
        DataError: If a class is −∞ on one side only, or all classes of a sample are −∞.
    """
    if _is_fine(values) or not _comparable(student, teacher):
        return values
    _refuse_empty(student, "student", dim, what)
    _refuse_empty(teacher, "teacher", dim, what)
    if student.shape != teacher.shape:
        return values
    zero, allowing = ("teacher", "student") if reverse else ("student", "teacher")
    ours, theirs = (teacher, student) if reverse else (student, teacher)
    lacking = (ours.isneginf() & ~theirs.isneginf()).movedim(dim, -1)
    if lacking.any():
        classes = lacking.nonzero()[:, -1] if numbers is None else numbers.movedim(dim, -1)[lacking]
        message = f"{_listed(classes, what)} −∞ in `{zero}` but not in `{allowing}`: the loss is infinite"
        raise DataError(
            message, hint=f"mask the same {_plural(what)} in both, or in `{allowing}` alone, before the loss"
        )
    return values


def refuse_infinite_target(values: Tensor, student: Tensor, target: Tensor, dim: int = 1) -> Tensor:
    """Return `values`, or raise if they are not finite because `student` rules out a target class.

    Args:
        values: Cross-entropies of any shape.
        student: Logits.
        target: Class indices, of the shape of `student` without `dim`. Negative ones do not count.
        dim: The dimension of the classes.

    Raises:
        DataError: If the target class is −∞ in `student`, or all classes of a sample are −∞.
    """
    if _is_fine(values) or not _comparable(student):
        return values
    counted = target >= 0
    logits = student.movedim(dim, -1)[counted]
    _refuse_empty(logits, "student", -1, "class")
    ruled_out = logits.gather(-1, target[counted][:, None]).squeeze(-1).isneginf()
    if ruled_out.any():
        message = (
            f"{_listed(target[counted][ruled_out], 'class')} −∞ in `student` and the target of a sample: "
            "the loss is infinite"
        )
        raise DataError(message, hint="allow the class, or drop the samples of that class")
    return values


def _is_fine(values: Tensor) -> bool:
    """Return whether the values are finite or must not be read."""
    return not may_read(values) or math.isfinite(values.detach().sum().item())


def _comparable(*logits: Tensor) -> bool:
    """Return whether the logits are free of NaN and +∞, which have other causes."""
    return not any(bool((tensor.isnan() | tensor.isposinf()).any()) for tensor in logits)


def _refuse_empty(logits: Tensor, name: str, dim: int, what: str) -> None:
    if logits.isneginf().all(dim).any():
        message = f"every {what} of a sample is −∞ in `{name}`"
        raise DataError(message, hint="allow one, or drop the sample")


def _listed(numbers: Tensor, what: str) -> str:
    """Format class indices: `class 3 is`, `classes 1, 3 are`, `classes 1, 3, 4, 5, 6 and 20 others are`."""
    classes = sorted(set(numbers.tolist()))
    if len(classes) == 1:
        return f"{what} {classes[0]} is"
    shown = ", ".join(map(str, classes[:SHOWN]))
    return f"{_plural(what)} {shown}{f' and {len(classes) - SHOWN} others' if len(classes) > SHOWN else ''} are"


def _plural(what: str) -> str:
    return "classes" if what == "class" else f"{what}s"
