"""Validation of labels before the first batch: an invalid label could train silently or crash a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_core.errors import DataError


def check_labels(images: Tensor, targets: Tensor, num_classes: int, where: str) -> None:
    """Check the labels of a dataset.

    Args:
        images: (samples, …).
        targets: (samples,) integers.
        num_classes: Number of classes; labels are from 0 to `num_classes - 1`.
        where: The file that holds the labels.

    Raises:
        DataError: The numbers of labels and images differ or are 0, a label is not a class, or a class has no images.

    >>> check_labels(torch.zeros(3), torch.tensor([0, 1, 7]), 2, "labels.bin")
    Traceback (most recent call last):
    distill_core.errors.DataError: labels.bin: sample 2 has the label 7
      hint: use labels from 0 to 1
    """
    if len(images) != len(targets) or not len(targets):
        message = f"{where}: there are {len(targets)} labels for {len(images)} images"
        raise DataError(message)
    wrong = ((targets < 0) | (targets >= num_classes)).nonzero().flatten()
    if len(wrong):
        first = int(wrong[0])
        message = f"{where}: sample {first} has the label {int(targets[first])}"
        raise DataError(message, hint=f"use labels from 0 to {num_classes - 1}")
    empty = (torch.bincount(targets.long(), minlength=num_classes) == 0).nonzero().flatten()
    if len(empty):
        message = f"{where}: no image is of class {', '.join(map(str, empty.tolist()))}"
        raise DataError(message)
