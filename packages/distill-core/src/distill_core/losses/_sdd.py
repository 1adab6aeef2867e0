"""Scale-decoupled distillation (SDD): distil the logits of regions, computed by each model's own classifier.

    z(k) = head( mean of the last map over cell k ),   cells of grids of s × s for each scale s
    L = mean over samples and cells k of w_k · D( z_s(k), z_t(k) )
    w_k = 2 where the teacher is right on the whole map and wrong on the cell, or vice versa; 1 elsewhere

D is KD's divergence, τ² included, or DKD's with α and β. The heads are the classifiers after the pooling, tapped as
modules: the student's head learns from the cells too. Cells are computed by adaptive average pooling, and the loss is a
mean over cells, as in the authors' code.

Use: image classifiers with a global average pooling.
Taps: the map before the pooling and the classifier: `[student.layer4, student.fc:module]`.

Paper: Scale Decoupled Distillation
Authors: Shicai Wei, Chunbo Luo, Yang Luo
Venue: CVPR
Year: 2024
Link: https://arxiv.org/abs/2403.13512
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, head_logits, one_of, require_targets
from ..ranges import NonNegativeFloat, PositiveFloat, PositiveInt, checked
from ..registry import register
from ._dkd import decoupled_divergences
from ._kd import kd_divergence

Base = Literal["kd", "dkd"]
Head = Callable[[Tensor], Tensor]


def cell_logits(feature: Tensor, head: Head, scales: Sequence[int]) -> Tensor:
    """Return the logits of all cells of all grids.

    Args:
        feature: The map before the pooling, (batch, channels, height, width).
        head: Maps vectors (n, channels) to logits (n, classes).
        scales: Grid sizes s, each with s × s cells.

    Returns:
        (batch, cells, classes).
    """
    grids = [F.adaptive_avg_pool2d(at_least_float32(feature), scale).flatten(2) for scale in scales]
    cells = torch.cat(grids, dim=2).mT
    return head_logits(head, cells.flatten(0, 1)).view(*cells.shape[:2], -1)


@final
@register
class SDDLoss(nn.Module):
    """Scale-decoupled distillation (Wei et al. 2024).

    Args:
        scales: Grid sizes; 1 is the whole map.
        base: The divergence of a cell, `kd` or `dkd`.
        temperature: τ > 0 of the divergence.
        alpha: α of `dkd`.
        beta: β of `dkd`.
        complementary: Weight of the cells on which the teacher is right and on the whole map wrong, or vice versa.

    >>> import torch
    >>> head = torch.nn.Identity()
    >>> student, teacher = torch.zeros(1, 3, 4, 4), torch.tensor([2.0, 0.0, -2.0])[None, :, None, None].expand(1, 3, 4, 4)
    >>> SDDLoss(scales=[1, 2])([student, head], [teacher, head], target=torch.tensor([0]))
    tensor(1.2547)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        scales: Sequence[PositiveInt] = (1, 2, 4),
        base: Base = "kd",
        temperature: PositiveFloat = 4.0,
        alpha: NonNegativeFloat = 1.0,
        beta: NonNegativeFloat = 8.0,
        complementary: NonNegativeFloat = 2.0,
    ) -> None:
        super().__init__()
        self.scales = list(scales)
        self.base, self.temperature = one_of("base", base, Base), temperature
        self.alpha, self.beta = alpha, beta
        self.complementary = complementary

    def forward(self, student: tuple[Tensor, Head], teacher: tuple[Tensor, Head], target: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            student: [the map before the pooling (batch, channels, height, width), the classifier as a `:module` tap].
            teacher: The same, but channels, height and width may differ.
            target: (batch,), class indices.
        """
        ours = cell_logits(*student, self.scales)
        require_targets(target, ours.shape[0], ours.shape[2])
        with torch.no_grad():
            theirs = cell_logits(*teacher, self.scales)
            on_map = cell_logits(*teacher, [1]).argmax(2) == target[:, None]
            differs = on_map != (theirs.argmax(2) == target[:, None])
        divergence = self._divergence(ours.flatten(0, 1), theirs.flatten(0, 1), target.repeat_interleave(ours.shape[1]))
        weights = torch.where(differs, self.complementary, 1.0).to(divergence.dtype)
        return (weights * divergence.view_as(weights)).mean()

    def _divergence(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        if self.base == "kd":
            return kd_divergence(student, teacher, self.temperature)
        of_target, of_others = decoupled_divergences(student, teacher, target, self.temperature)
        return self.temperature**2 * (self.alpha * of_target + self.beta * of_others)
