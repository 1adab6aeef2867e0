"""Wasserstein distillation of features (WKD-F): match the Gaussians of each region's feature.

    μ, σ = mean and standard deviation of each channel over the positions of a cell
    L = mean over samples and cells of [ ρ · ‖ μ(p(s)) − μ(t) ‖² + ‖ σ(p(s)) − σ(t) ‖² ]

With ρ = 1 this is the squared 2-Wasserstein distance of two Gaussians of diagonal covariance. p is a 1×1 convolution,
batch norm and ReLU, learned with the student, as in the authors' code (JiamingLv/WKD). Its batch statistics are those
of the process's own batch. σ² is the mean squared deviation over n positions, where the code divides by n − 1, so that
cells of one position have a σ of 0. The paper's weight is 0.02, with a decay.

Use: image classifiers and detectors.
Taps: the last feature map of each model: `student.layer4` and `teacher.layer4`.

Paper: Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation
Authors: Jiaming Lv, Haoyuan Yang, Peihua Li
Venue: NeurIPS
Year: 2024
Link: https://arxiv.org/abs/2412.08139
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import NormalisedConv, at_least_float32, require_same_shape
from ..ranges import NonNegativeFloat, PositiveInt, checked
from ..registry import register

EPS = 1e-5
"""Added to a variance, so that its root has a gradient where the feature is constant."""


def gaussian_wasserstein(student: Tensor, teacher: Tensor, mean_ratio: float = 2.0, cells: int = 1) -> Tensor:
    """Return the distance of each sample.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but height and width may differ.
        mean_ratio: ρ.
        cells: Number of cells per side. They overlap if the size is not a multiple of it.

    Returns:
        (batch,).
    """
    ours, theirs = _gaussians(student, cells), _gaussians(teacher.detach(), cells)
    require_same_shape(ours[0], theirs[0])
    squares = mean_ratio * (ours[0] - theirs[0]).square() + (ours[1] - theirs[1]).square()
    return squares.sum((1, 2)) / cells**2


@final
@register
class WKDFLoss(nn.Module):
    """Wasserstein distillation of features (Lv et al. 2024), the projector inside.

    Args:
        mean_ratio: ρ, weight of the means.
        cells: Number of cells per side.
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        teacher_channels: Channels of the teacher's feature; inferred on first use if omitted.

    >>> loss = WKDFLoss()
    >>> loss(torch.ones(2, 3, 4, 4), torch.ones(2, 5, 4, 4)).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(
        self,
        mean_ratio: NonNegativeFloat = 2.0,
        cells: PositiveInt = 1,
        student_channels: PositiveInt | None = None,
        teacher_channels: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.mean_ratio, self.cells = mean_ratio, cells
        self.projector = NormalisedConv(student_channels, teacher_channels)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two maps (batch, channels, height, width)."""
        projected = F.relu(self.projector(student, like=teacher))
        return gaussian_wasserstein(projected, teacher, self.mean_ratio, self.cells).mean()


def _gaussians(feature: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return the means and standard deviations (batch, channels, cells²)."""
    feature = at_least_float32(feature)
    height, width = feature.shape[2:]
    rows, columns = _cells(cells, height), _cells(cells, width)
    regions = [feature[:, :, top:bottom, left:right].flatten(2) for top, bottom in rows for left, right in columns]
    means = torch.stack([region.mean(2) for region in regions], dim=2)
    variances = torch.stack([region.var(2, correction=0) for region in regions], dim=2)
    return means, (variances + EPS).sqrt()


def _cells(cells: int, size: int) -> list[tuple[int, int]]:
    """Return the start and end of each adaptive-pooling cell."""
    return [(cell * size // cells, -(-(cell + 1) * size // cells)) for cell in range(cells)]
