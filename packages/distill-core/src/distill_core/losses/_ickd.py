"""Inter-channel correlation (ICKD): match the correlations between channels.

    G(f) = f fᵀ of one sample, rows divided by their L2 norm,   f: (channels, positions)
    paper:  L = mean over samples and pairs of channels of ( G(e(s)) − G(t) )²
    code:   L = mean over samples and channels of the sum over channels of the same, channels times as much
    torchdistill:  L of code, divided by the batch

e is a 1×1 convolution (`torchdistill`: 3×3) and batch normalisation that maps the student to the teacher's channels and is learned with it.
Heights and widths may differ. `code` is that of the authors' CIFAR code (ADLab-AutoDrive/ICKD).

The statistics of the batch normalisation are those of the process's own batch.

Use: convolutional networks; relations between the channels of a feature.
Taps: the last feature map of each model: `student.layer4` and `teacher.layer4`.

Paper: Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge Distillation
Authors: Li Liu, Qingle Huang, Sihao Lin, Hongwei Xie, Bing Wang, Xiaojun Chang, Xiaodan Liang
Venue: ICCV
Year: 2021
Link: https://arxiv.org/abs/2202.03680
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import NormalisedConv, at_least_float32, one_of, require_same_shape, unit_length, without_autocast
from ..ranges import PositiveInt, checked
from ..registry import register

Mode = Literal["paper", "code", "torchdistill"]


def channel_correlation(feature: Tensor) -> Tensor:
    """Return the channel correlations (batch, channels, channels), rows of norm 1.

    Args:
        feature: (batch, channels, height, width).
    """
    flat = at_least_float32(feature.flatten(2))
    with without_autocast(flat):
        return unit_length(torch.bmm(flat, flat.mT), dim=2)


@final
@register
class ICKDLoss(nn.Module):
    """Inter-channel correlation (Liu et al. 2021), the embedding inside.

    Args:
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        teacher_channels: Channels of the teacher's feature; inferred on first use if omitted.
        mode: `paper`, `code` or `torchdistill`, see the formulas above.

    >>> import torch
    >>> loss = ICKDLoss()
    >>> loss(torch.ones(2, 4, 8, 8), torch.ones(2, 6, 4, 4)).shape, loss.embedding.weight.shape
    (torch.Size([]), torch.Size([6, 4, 1, 1]))
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(
        self,
        student_channels: PositiveInt | None = None,
        teacher_channels: PositiveInt | None = None,
        mode: Mode = "paper",
    ) -> None:
        super().__init__()
        self.mode = one_of("mode", mode, Mode)
        self.embedding = NormalisedConv(student_channels, teacher_channels, 3 if mode == "torchdistill" else 1)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features (batch, channels, height, width)."""
        ours = channel_correlation(self.embedding(student, like=teacher))
        theirs = channel_correlation(teacher.detach())
        require_same_shape(ours, theirs)
        loss = F.mse_loss(ours, theirs)
        scale = {"paper": 1.0, "code": ours.shape[1], "torchdistill": ours.shape[1] / len(ours)}
        return loss * scale[self.mode]
