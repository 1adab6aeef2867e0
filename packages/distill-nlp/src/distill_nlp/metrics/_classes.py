"""Predicted classes."""

from __future__ import annotations

from torch import Tensor

from distill_core.errors import DataError


def predicted_classes(preds: Tensor, target: Tensor) -> Tensor:
    """Return the predicted class of each sample.

    Args:
        preds: (batch, classes) scores, or (batch,) class indices.
        target: (batch,) class indices.

    Raises:
        DataError: The shapes do not match.
    """
    if preds.dim() not in (1, 2) or preds.shape[:1] != target.shape:
        shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
        message = f"`preds` and `target` must be (batch, classes) and (batch,), got {shapes}"
        raise DataError(message)
    return preds.argmax(dim=1) if preds.dim() == 2 else preds
