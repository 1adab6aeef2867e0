"""Semantic calibration (SemCKD): learn which of the teacher's layers each layer of the student follows.

    A(f) = f fᵀ, similarities within the batch;   q = unit( MLP(A(s)) ), k = unit( MLP(A(t)) ), a row for each sample
    w(l, m) = softmax over the teacher's layers m of q_l · k_m, for each sample
    L = mean over samples and layers l of sum over m of w(l, m) · mean over elements of ( r_lm(s_l) − t_m )²

There is one MLP per layer and one r per pair: 1×1, 3×3 and 1×1 convolutions with batch norm and ReLU between. All are
learned with the student. Maps are averaged to the smaller size before r. The MLPs take a row of similarities to the
batch, so they are made for one batch size; smaller batches are padded with zeros. Similarities and batch statistics are
those of the process's own batch. The paper's weight is 400.

Use: convolutional networks whose layers have no natural pairs.
Taps: lists of the maps of several layers, which may differ in length.

Paper: Cross-Layer Distillation with Semantic Calibration
Authors: Defang Chen, Jian-Ping Mei, Yuan Zhang, Can Wang, Zhe Wang, Yan Feng, Chun Chen
Venue: AAAI
Year: 2021
Link: https://arxiv.org/abs/2012.03236
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import NormalisedConv, at_least_float32, pool_to_smaller, without_autocast
from ..ranges import PositiveInt, checked
from ..registry import register


def calibrated_distance(weights: Tensor, distances: Tensor) -> Tensor:
    """Return the mean over samples and the student's layers of the weighted sum over the teacher's layers.

    Args:
        weights: (batch, student's layers, teacher's layers), which sum to 1 over the last.
        distances: The same shape.
    """
    return (weights * distances).sum(2).mean()


@final
@register
class SemCKDLoss(nn.Module):
    """Semantic calibration (Chen et al. 2021), the attention and the regressors inside.

    Args:
        batch_size: Maximum batch size per process.
        teacher_channels: Channels of each of the teacher's layers.
        student_channels: Channels of each of the student's layers.
        factor: Ratio of the batch size to the length of the attention's vectors.

    >>> loss = SemCKDLoss(batch_size=8, teacher_channels=[5], student_channels=[3])
    >>> loss([torch.ones(4, 3, 4, 4)], [torch.ones(4, 5, 4, 4)]).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(
        self,
        batch_size: PositiveInt,
        teacher_channels: Sequence[PositiveInt],
        student_channels: Sequence[PositiveInt],
        factor: PositiveInt = 4,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        dim = max(batch_size // factor, 1)
        self.queries = nn.ModuleList(_mlp(batch_size, dim) for _ in student_channels)
        self.keys = nn.ModuleList(_mlp(batch_size, dim) for _ in teacher_channels)
        self.regressors = nn.ModuleList(
            nn.ModuleList(_regressor(ours, theirs) for theirs in teacher_channels) for ours in student_channels
        )

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of two lists of maps (batch, channels, height, width), which may differ in length.

        Raises:
            ValueError: If the batch is larger than `batch_size`, or a list and its channels differ in length.
        """
        if (len(student), len(teacher)) != (len(self.queries), len(self.keys)):
            message = f"configured for {len(self.queries)} layers of the student and {len(self.keys)} of the teacher, got {len(student)} and {len(teacher)}"
            raise ValueError(message)
        teacher = [feature.detach() for feature in teacher]
        distances = [
            torch.stack([self._distance(ours, theirs, s, t) for theirs, t in enumerate(teacher)], dim=1)
            for ours, s in enumerate(student)
        ]
        return calibrated_distance(self.attention(student, teacher), torch.stack(distances, dim=1))

    def attention(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Return w, (batch, student's layers, teacher's layers)."""
        queries = torch.stack([self._embedded(m, f) for m, f in zip(self.queries, student, strict=True)], dim=1)
        keys = torch.stack([self._embedded(m, f) for m, f in zip(self.keys, teacher, strict=True)], dim=1)
        with without_autocast(queries):
            return torch.softmax(torch.bmm(queries, keys.mT), dim=2)

    def _embedded(self, mlp: nn.Module, feature: Tensor) -> Tensor:
        """Return embeddings (batch, dim) of norm 1."""
        flat = at_least_float32(feature.flatten(1))
        if len(flat) > self.batch_size:
            message = f"a batch of {len(flat)} is larger than `batch_size`, {self.batch_size}"
            raise ValueError(message)
        with without_autocast(flat):
            rows = F.pad(flat @ flat.T, (0, self.batch_size - len(flat)))
        weight = next(mlp.parameters())
        return F.normalize(at_least_float32(mlp(rows.to(weight.dtype))), dim=1)

    def _distance(self, ours: int, theirs: int, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the mean squared difference of one pair of layers, (batch,)."""
        student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher))
        layers: nn.ModuleList = self.regressors[ours]  # type: ignore[assignment]
        mapped = at_least_float32(layers[theirs](student))
        return (mapped - teacher).square().flatten(1).mean(1)


def _mlp(batch_size: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(batch_size, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))


def _regressor(ours: int, theirs: int) -> nn.Sequential:
    middle = 2 * theirs
    return nn.Sequential(
        NormalisedConv(ours, middle),
        nn.ReLU(),
        NormalisedConv(middle, middle, kernel_size=3),
        nn.ReLU(),
        nn.Conv2d(middle, theirs, kernel_size=1, bias=False),
    )
