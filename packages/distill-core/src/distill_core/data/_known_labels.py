"""The class of every sample of a dataset, where it is known without reading samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from ._tensors import TensorData


def known_labels(dataset: Any) -> Tensor | None:
    """Return the class index of each sample (samples,), or None if only the samples themselves tell.

    It is the field `target` of a `TensorData`, or the attribute `targets`, as in torchvision's datasets.

    >>> known_labels(TensorData({"input": torch.zeros(3, 2), "target": torch.tensor([1, 0, 1])}))
    tensor([1, 0, 1])
    """
    if isinstance(dataset, Subset):
        labels = known_labels(dataset.dataset)
        return None if labels is None else labels[torch.as_tensor(dataset.indices)]
    found = dataset.tensors.get("target") if isinstance(dataset, TensorData) else getattr(dataset, "targets", None)
    if not isinstance(found, Tensor):
        if not isinstance(found, list | tuple) or not all(isinstance(label, int) for label in found):
            return None
        found = torch.tensor(found)
    is_class = found.dim() == 1 and len(found) == len(dataset) and not (found.is_floating_point() or found.is_complex())
    return found.long() if is_class else None
