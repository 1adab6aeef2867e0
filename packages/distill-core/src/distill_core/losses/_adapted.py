"""Any loss after a learned module (adapted): a module maps the feature of the student, or of the teacher, first.

    L = loss( a(s), b(t) )                                    a, b: modules that learn; the identity if omitted

For hints with a regressor of your own (`distill_core.layers.ConvReg`) and other methods whose new modules end in a loss of
torch. Not a method of distillation.

Use: a loss of torch between tensors of two shapes, with modules of your own between them.
Taps: any tensor of each model.

Paper: none
Authors: none
Venue: none
Year: none
Link: https://docs.pytorch.org/docs/stable/nn.html#loss-functions
"""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from ..layers import at_least_float32
from ..registry import register


@final
@register
class AdaptedLoss(nn.Module):
    """A loss of two tensors, after modules that learn.

    Args:
        loss: Loss of two tensors, `torch.nn.MSELoss()`.
        student: Module that the student's feature passes first.
        teacher: Module that the teacher's feature passes first.

    >>> import torch
    >>> AdaptedLoss(nn.MSELoss(), student=nn.Linear(4, 6))(torch.ones(2, 4), torch.ones(2, 6)).shape
    torch.Size([])
    """

    reduction_scope: str = "unknown"
    """That of the loss inside; a loss of torch declares none, so set `averages_over` to accumulate."""

    def __init__(self, loss: nn.Module, student: nn.Module | None = None, teacher: nn.Module | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.student, self.teacher = student or nn.Identity(), teacher or nn.Identity()
        self.reduction_scope = str(getattr(loss, "reduction_scope", self.reduction_scope))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features of any shape that the modules accept."""
        value: Tensor = self.loss(_adapted(self.student, student), _adapted(self.teacher, teacher.detach()))
        return value


def _adapted(module: nn.Module, feature: Tensor) -> Tensor:
    """Return the output of a module, which gets the feature in the precision of its parameters."""
    parameter = next(module.parameters(), None)
    output: Tensor = module(feature if parameter is None else feature.to(parameter.dtype))
    return at_least_float32(output)
