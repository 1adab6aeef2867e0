"""Checks of logits and targets of classification: one row of logits and one class index per sample."""

from __future__ import annotations

from torch import Tensor


def require_class_logits(student: Tensor, target: Tensor | None = None) -> None:
    """Check that logits are (batch, classes) and targets, if given, are class indices (batch,).

    Args:
        student: The logits.
        target: The targets.

    Raises:
        ValueError: If the logits have positions or tokens, or the targets are probabilities.
    """
    if student.dim() != 2:
        message = f"`student` must be logits (batch, classes), got shape {tuple(student.shape)}: flatten positions into the batch"
        raise ValueError(message)
    if target is not None and (target.is_floating_point() or target.dim() != 1):
        given = "probabilities" if target.is_floating_point() else "integers"
        message = f"`target` must be class indices (batch,), got {given} of shape {tuple(target.shape)}"
        raise ValueError(message)


def class_index(target: Tensor) -> Tensor:
    """Return the class index of each target: its most probable class if targets are probabilities (Mixup, CutMix).

    Args:
        target: Class indices (batch,), or probabilities (batch, classes).

    >>> import torch
    >>> class_index(torch.tensor([[0.3, 0.7]])), class_index(torch.tensor([0]))
    (tensor([1]), tensor([0]))
    """
    return target.argmax(1) if target.is_floating_point() and target.dim() == 2 else target
