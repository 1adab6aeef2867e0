"""A model's own loss (reported): a loss that a model computes itself, as a term of the objective.

    L = sum of the values

Detection models of torchvision return a mapping of losses in training mode, and transformers models have `loss` in
their output. Tap them as `student` (`student:out.loss`). Not a method of distillation; it lets such a loss be weighted.

Use: models that compute their own loss: detectors of torchvision, models of transformers.
Taps: `student`, the mapping of losses, or `student:out.loss`.

Paper: none
Authors: none
Venue: none
Year: none
Link: https://docs.pytorch.org/vision/stable/models.html#object-detection
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..errors import did_you_mean
from ..layers import at_least_float32
from ..registry import register


@final
@register
class ReportedLoss(nn.Module):
    """The sum of the losses that a model reports.

    Args:
        names: Entries of a mapping to add; all by default.

    >>> ReportedLoss()({"boxes": torch.tensor(1.0), "classes": torch.tensor(2.0)})
    tensor(3.)
    >>> ReportedLoss(names=["boxes"])({"boxes": torch.tensor(1.0), "classes": torch.tensor(2.0)})
    tensor(1.)
    """

    reduction_scope: ClassVar[str] = "unknown"

    def __init__(self, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.names = None if names is None else tuple(names)

    def forward(self, student: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Return the sum of a scalar, or of a mapping from names to scalars.

        Raises:
            ValueError: If the model does not report a name, or a value is not a scalar.
        """
        reported = {"loss": student} if isinstance(student, Tensor) else student
        names = tuple(reported) if self.names is None else self.names
        for name in names:
            if name not in reported:
                message = f"the model reports no loss '{name}'; {did_you_mean(name, reported)}"
                raise ValueError(message)
            if reported[name].dim() > 0:
                message = f"the reported loss '{name}' must be a scalar, not of shape {tuple(reported[name].shape)}"
                raise ValueError(message)
        return torch.stack([at_least_float32(reported[name]) for name in names]).sum()
