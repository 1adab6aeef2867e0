"""Regression of scores: mean squared error for models with one output per text, as on STS-B.

    L = mean over samples of ( s − y )²

Transformers models give scores as (batch, 1) and datasets as (batch,), which `torch.nn.MSELoss` would broadcast.

Use: models with one output per text, as on STS-B; a loss of the labels.
Taps: the scores `student:out.logits`, and `batch.target`.

Paper: none
Authors: none
Venue: none
Year: none
Link: none
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.layers import at_least_float32, require_same_shape


@final
class ScoreLoss(nn.Module):
    """The mean squared error of scores.

    >>> import torch
    >>> ScoreLoss()(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """

    reduction_scope: ClassVar[str] = "sample"

    def forward(self, student: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of scores (batch, 1) or (batch,) and true scores (batch,)."""
        scores = at_least_float32(student).squeeze(-1) if student.dim() > 1 else at_least_float32(student)
        require_same_shape(scores, target)
        return F.mse_loss(scores, target.to(scores.dtype))
