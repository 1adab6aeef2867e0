"""Checks of logits and targets of classification: one row of logits and one class index per sample."""

from __future__ import annotations

from torch import Tensor

from ..errors import DataError
from ._ruled_out import may_read


def require_class_logits(student: Tensor, target: Tensor | None = None) -> None:
    """Check that logits are (batch, classes) and targets, if given, are class indices (batch,).

    Args:
        student: The logits.
        target: The targets.

    Raises:
        ValueError: If the logits have positions or tokens, or the targets are not one integer per sample.
        DataError: If a target is not a class of the logits.
    """
    if student.dim() != 2:
        message = f"`student` must be logits (batch, classes), got shape {tuple(student.shape)}: flatten positions into the batch"
        raise ValueError(message)
    if target is not None:
        require_targets(target, *student.shape)


def require_targets(target: Tensor, num_samples: int, num_classes: int) -> None:
    """Check that targets are one class index per sample.

    Args:
        target: The targets.
        num_samples: Number of samples in the batch.
        num_classes: Number of classes of the logits.

    Raises:
        ValueError: If the targets are probabilities or have another shape.
        DataError: If a target is not a class, see `require_classes`.
    """
    if target.is_floating_point() or target.dim() != 1:
        given = "probabilities" if target.is_floating_point() else "integers"
        message = f"`target` must be class indices (batch,), got {given} of shape {tuple(target.shape)}"
        raise ValueError(message)
    if len(target) != num_samples:
        message = f"`target` must have one class index per sample, got {len(target)} for {num_samples} samples"
        raise ValueError(message)
    require_classes(target, num_classes)


def require_classes(target: Tensor, num_classes: int) -> None:
    """Check that class indices are in range; labels to ignore, such as -100, are not.

    The values are read where that is cheap: on the CPU, and inside `checks_on_every_device`.

    Args:
        target: Class indices of any shape.
        num_classes: Number of classes of the logits.

    Raises:
        DataError: If an index is below 0 or not below `num_classes`.
    """
    if not target.numel() or not may_read(target):
        return
    least, greatest = int(target.amin()), int(target.amax())
    if least < 0 or greatest >= num_classes:
        message = f"`target` must be class indices from 0 to {num_classes - 1}, got {least if least < 0 else greatest}"
        raise DataError(message, hint="drop samples without a label, and count classes from 0")


def class_index(target: Tensor) -> Tensor:
    """Return the class index of each target: its most probable class if targets are probabilities (Mixup, CutMix).

    Args:
        target: Class indices (batch,), or probabilities (batch, classes).

    >>> import torch
    >>> class_index(torch.tensor([[0.3, 0.7]])), class_index(torch.tensor([0]))
    (tensor([1]), tensor([0]))
    """
    return target.argmax(1) if target.is_floating_point() and target.dim() == 2 else target
