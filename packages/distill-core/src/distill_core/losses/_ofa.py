"""One-for-all distillation (OFA): each stage of the student predicts the teacher's logits, for any two architectures.

    q = softmax of a stage's own logits,   p = softmax(t),   y the target
    paper:  L = sum over stages of − mean over samples of [ (1 + p_y)^γ · log q_y + sum over c ≠ y of p_c · log q_c ]
    code:   L = sum over stages of − mean over samples of sum over c of [ ( (p_c + 1_y)^γ − 1_y ) · log q_c ]

1_y is 1 at the target and 0 elsewhere. The authors' code (Hao840/OFAKD) raises the other classes to the power too, and
subtracts the label's own cross-entropy, which the paper's form contains. The heads that map stages to logits are
learned here. The same loss of the student's final logits, and KD, are separate terms.

Paper: One-for-All: Bridge the Gap Between Heterogeneous Architectures in Knowledge Distillation
Authors: Zhiwei Hao, Jianyuan Guo, Kai Han, Yehui Tang, Han Hu, Yunhe Wang, Chang Xu
Venue: NeurIPS
Year: 2023
Link: https://arxiv.org/abs/2310.19444
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    StageHead,
    at_least_float32,
    class_index,
    cross_entropy,
    one_of,
    reduction_scope_of,
    refuse_infinite,
    require_class_logits,
    require_same_shape,
)
from ..ranges import PositiveInt, Range, checked
from ..registry import register

Mode = Literal["paper", "code"]


def target_enhanced(
    student: Tensor, teacher: Tensor, target: Tensor, gamma: float = 1.0, mode: Mode = "code"
) -> Tensor:
    """Return the loss of each sample at one stage.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices; or (batch, classes), probabilities whose largest one counts.
        gamma: γ.
        mode: `paper` or `code`, see above.

    Returns:
        (batch,).
    """
    target = class_index(target)
    require_class_logits(student, target)
    require_same_shape(student, teacher)
    p = F.softmax(at_least_float32(teacher.detach()), dim=1)
    log_q = F.log_softmax(at_least_float32(student), dim=1)
    label = F.one_hot(target, p.shape[1]).to(p.dtype)
    powers = (p + label) ** gamma
    wanted = powers - label if mode == "code" else torch.where(label > 0, powers, p)
    return refuse_infinite(cross_entropy(wanted, log_q), student, teacher, dim=1)


@final
@register
class OFALoss(nn.Module):
    """One-for-all distillation (Hao et al. 2023), the stages' heads inside.

    Args:
        num_classes: Classes of the teacher's logits.
        channels: Channels of the feature of each stage.
        gamma: γ ≥ 1; 1 on CIFAR-100 and 1.5 on ImageNet.
        sequences: Features are (batch, tokens, channels) instead of maps.
        mode: `paper` or `code`, see above.

    >>> import torch
    >>> loss = OFALoss(num_classes=3, channels=[4, 8])
    >>> loss([torch.ones(2, 4, 8, 8), torch.ones(2, 8, 4, 4)], torch.zeros(2, 3), target=torch.tensor([0, 1])).shape
    torch.Size([])
    """

    reduction_scope: str = "local"
    """`sample` for sequences, whose heads have no batch normalisation."""

    @checked
    def __init__(
        self,
        num_classes: PositiveInt,
        channels: Sequence[PositiveInt],
        gamma: Annotated[float, Range(min=1)] = 1.0,
        *,
        sequences: bool = False,
        mode: Mode = "code",
    ) -> None:
        super().__init__()
        self.gamma, self.mode = gamma, one_of("mode", mode, Mode)
        self.heads = nn.ModuleList(StageHead(count, num_classes, sequences=sequences) for count in channels)
        self.reduction_scope = reduction_scope_of(self.heads)

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Features of the stages, one per entry of `channels`.
            teacher: Logits (batch, classes).
            target: (batch,), class indices; or (batch, classes), probabilities whose largest one counts.

        Raises:
            ValueError: If the number of features is not the number of heads.
        """
        features = [student] if isinstance(student, Tensor) else student
        if len(features) != len(self.heads):
            message = f"`student` has {len(features)} features for {len(self.heads)} stages: give one per stage"
            raise ValueError(message)
        stages = [
            target_enhanced(head(feature), teacher, target, self.gamma, self.mode).mean()
            for head, feature in zip(self.heads, features, strict=True)
        ]
        return torch.stack(stages).sum()
