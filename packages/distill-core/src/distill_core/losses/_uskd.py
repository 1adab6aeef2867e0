"""Universal self-distillation (USKD): soft labels without a teacher, from the student and a weak auxiliary head.

    target:  p̃ = p_y² + 1 − mean over the batch of p_y²,   p = softmax(s),   constant
    others:  r = rank, from 1, of w_c/(1 − w_y) + p_c/(1 − p_y) among the classes c ≠ y,   w = softmax(weak head);   z_c ∝ 1/r_c
    L = mean over samples of [ −α · p̃ · log p_y − β · sum over c ≠ y of z_c · log p̂_c + μ · weak ]

p̂ is the softmax of s over the non-target classes. `weak` is the cross-entropy of the weak head with labels smoothed by
0.1, which trains the head and the layers below it. `code` is the authors' (yzd-v/cls_KD): it uses log p instead of p in
the second half of the rank, and its rank counts the target too. The mean of p_y² is over all processes. The paper adds
the cross-entropy of the labels as a separate term.

Paper: From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with Normalized Loss and Customized Soft Labels
Authors: Zhendong Yang, Ailing Zeng, Zhe Li, Tianke Zhang, Chun Yuan, Yu Li
Venue: ICCV
Year: 2023
Link: https://arxiv.org/abs/2303.13005
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import sum_over_processes
from ..layers import (
    at_least_float32,
    cross_entropy,
    filled,
    nothing_left,
    one_of,
    other_classes,
    refuse_infinite_target,
    require_class_logits,
    ruled_out,
    smooth_cross_entropy,
    target_or_not,
)
from ..ranges import NonNegativeFloat, PositiveInt, checked
from ..registry import register

Mode = Literal["paper", "code"]
EPSILON = 1e-6


def soft_others(student: Tensor, weak: Tensor, target: Tensor, mode: Mode = "paper") -> Tensor:
    """Return z, the soft labels of the non-target classes, without gradient.

    Args:
        student: Logits (batch, classes).
        weak: The weak head's logits of the same shape.
        target: (batch,), class indices.
        mode: `paper` or `code`, see above.

    Returns:
        (batch, classes − 1), summing to 1; 0 for classes at −∞ in the student.
    """
    hidden = ruled_out(student)
    weak = torch.softmax(filled(weak.detach(), hidden, -torch.inf), dim=1)
    strong = F.log_softmax(student.detach(), dim=1)
    strong = strong.exp() if mode == "paper" else strong
    of_weak, of_strong = (x / (1 - x.gather(1, target[:, None]) + EPSILON) for x in (weak, strong))
    scores = filled(of_weak + of_strong, hidden, -torch.inf)
    if mode == "paper":
        scores = other_classes(scores, target)
    zipf = 1 / (1 + scores.argsort(1, descending=True).argsort(1).to(scores.dtype))
    if mode == "code":
        zipf = other_classes(zipf, target)
    zipf = filled(zipf, None if hidden is None else other_classes(hidden, target), 0)
    return zipf / zipf.sum(1, keepdim=True).clamp(min=torch.finfo(zipf.dtype).tiny)


@final
@register
class USKDLoss(nn.Module):
    """Universal self-distillation (Yang et al. 2023), the weak head inside.

    Args:
        num_classes: Classes of the logits.
        alpha: α, weight of the target.
        beta: β, weight of the others.
        mu: μ, weight of the weak head's own loss.
        channels: Channels of the feature; inferred on first use if omitted.
        mode: `paper` or `code`, see above.

    >>> import torch
    >>> loss = USKDLoss(num_classes=3)
    >>> loss([torch.ones(2, 3), torch.ones(2, 8, 4, 4)], target=torch.tensor([0, 1])).shape, loss.head.weight.shape
    (torch.Size([]), torch.Size([3, 8]))
    """

    reduction_scope: ClassVar[str] = "sample"
    decomposes: ClassVar[bool] = False

    @checked
    def __init__(
        self,
        num_classes: PositiveInt,
        alpha: NonNegativeFloat = 1.0,
        beta: NonNegativeFloat = 0.1,
        mu: NonNegativeFloat = 0.005,
        channels: PositiveInt | None = None,
        mode: Mode = "paper",
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.mu = alpha, beta, mu
        self.mode = one_of("mode", mode, Mode)
        self.head = nn.LazyLinear(num_classes) if channels is None else nn.Linear(channels, num_classes)

    def forward(self, student: Sequence[Tensor], target: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            student: [logits (batch, classes), a middle feature (batch, channels, height, width) or (batch, channels)].
            target: (batch,), class indices.

        Raises:
            ValueError: If `student` does not hold two tensors.
        """
        if len(student) != 2:
            message = f"`student` takes [logits, feature], got {len(student)} tensors"
            raise ValueError(message)
        require_class_logits(student[0], target)
        logits, feature = at_least_float32(student[0]), student[1].to(self.head.weight.dtype)
        weak = at_least_float32(self.head(feature.flatten(2).mean(2) if feature.dim() > 2 else feature))
        log_target = target_or_not(logits, target)[:, 0]
        squared = log_target.detach().exp().square()
        total = sum_over_processes(torch.stack([squared.sum(), squared.new_tensor(len(squared))]))
        of_target = -(squared + 1 - total[0] / total[1]) * log_target
        others = other_classes(logits, target)
        others = F.log_softmax(filled(others, nothing_left(others), 0), dim=1)
        of_others = cross_entropy(soft_others(logits, weak, target, self.mode), others)
        values = refuse_infinite_target(self.alpha * of_target + self.beta * of_others, logits, target)
        weak = filled(weak, ruled_out(logits), -torch.inf)
        return values.mean() + self.mu * smooth_cross_entropy(weak, target, 0.1).mean()
