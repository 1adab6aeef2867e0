"""Attention transfer (AT): match normalised spatial maps of activation strength.

    Q(f) = vec( sum over channels of f² ),   d = Q(s)/‖Q(s)‖₂ − Q(t)/‖Q(t)‖₂
    paper:  L = sum over pairs of mean over samples of ‖d‖₂
    code:   L = sum over pairs of mean over samples and positions of d²

The paper's factor β/2 belongs to the weight of the term. Weights of 1000 are meant for `code`, which the authors'
repository (szagoruyko/attention-transfer) and most others compute. Maps of different height or width are brought to the
smaller size by average pooling, as in the code.

Use: convolutional networks of similar depth; nothing is learned, and the numbers of channels may differ.
Taps: the outputs of corresponding stages as lists: `[student.layer1, student.layer2]` and `[teacher.layer1,
teacher.layer2]`.

Paper: Paying More Attention to Attention: Improving the Performance of Convolutional Neural Networks via Attention Transfer
Authors: Sergey Zagoruyko, Nikos Komodakis
Venue: ICLR
Year: 2017
Link: https://arxiv.org/abs/1612.03928
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, one_of, pairs, pool_to_smaller
from ..registry import register

Mode = Literal["paper", "code"]


def attention_transfer(student: Tensor, teacher: Tensor, mode: Mode = "paper") -> Tensor:
    """Return the loss of one pair of maps.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but channels, height and width may differ.
        mode: Norm of the difference (`paper`) or mean of its squares (`code`).
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    difference = _attention(student) - _attention(teacher)
    return torch.linalg.vector_norm(difference, dim=1).mean() if mode == "paper" else difference.square().mean()


@final
@register
class ATLoss(nn.Module):
    """Attention transfer (Zagoruyko & Komodakis 2017).

    Args:
        mode: `paper` or `code`, see the formulas above.

    >>> import torch
    >>> student, teacher = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
    >>> ATLoss()([student], [teacher]), ATLoss(mode="code")([student], [teacher])
    (tensor(1.4142), tensor(1.))
    """

    reduction_scope: ClassVar[str] = "sample"

    def __init__(self, mode: Mode = "paper") -> None:
        super().__init__()
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of lists of maps (batch, channels, height, width), one entry per pair."""
        return torch.stack([attention_transfer(s, t, self.mode) for s, t in pairs(student, teacher)]).sum()


def _attention(feature: Tensor) -> Tensor:
    return F.normalize(feature.square().sum(1).flatten(1), dim=1)
