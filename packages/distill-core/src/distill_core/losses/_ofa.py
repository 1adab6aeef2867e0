"""One-for-all distillation (OFA): each stage of the student predicts the teacher's logits, for any two architectures.

    q = softmax of a stage's own logits/τ,   p = softmax(t/τ),   y the target
    paper:  L = sum over stages of − mean over samples of [ (1 + p_y)^γ · log q_y + sum over c ≠ y of p_c · log q_c ]
    code:   L = sum over stages of − mean over samples of sum over c of [ ( (p_c + 1_y)^γ − 1_y ) · log q_c ]

1_y is 1 at the target and 0 elsewhere. The authors' code (Hao840/OFAKD) raises the other classes to the power too, and
subtracts the label's own cross-entropy, which the paper's form contains. L is not multiplied by τ². The heads that map
stages to logits are learned here. For maps they are the authors', by default for features of consecutive stages up to
the last. For sequences theirs merge patches and have transformer blocks, ours have one linear layer: pass `heads` for
others. `OFALogitsLoss` is the same loss of the student's final logits, a separate term in the authors' code.

Use: models of different families, such as a convolutional student of a transformer.
Taps: the outputs of the student's stages as a list, the teacher's logits, and `batch.target`.

Paper: One-for-All: Bridge the Gap Between Heterogeneous Architectures in Knowledge Distillation
Authors: Zhiwei Hao, Jianyuan Guo, Kai Han, Yehui Tang, Han Hu, Yunhe Wang, Chang Xu
Venue: NeurIPS
Year: 2023
Link: https://arxiv.org/abs/2310.19444
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, final

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
from ..ranges import PositiveFloat, PositiveInt, Range, checked
from ..registry import register

Mode = Literal["paper", "code"]


def target_enhanced(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    gamma: float = 1.0,
    mode: Mode = "code",
    temperature: float = 1.0,
) -> Tensor:
    """Return the loss of each sample at one stage.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices; or (batch, classes), probabilities whose largest one counts.
        gamma: γ.
        mode: `paper` or `code`, see above.
        temperature: τ.

    Returns:
        (batch,).
    """
    target = class_index(target)
    require_class_logits(student, target)
    require_same_shape(student, teacher)
    p = F.softmax(at_least_float32(teacher.detach()) / temperature, dim=1)
    log_q = F.log_softmax(at_least_float32(student) / temperature, dim=1)
    label = F.one_hot(target, p.shape[1]).to(p.dtype)
    powers = (p + label) ** gamma
    wanted = powers - label if mode == "code" else torch.where(label > 0, powers, p)
    return refuse_infinite(cross_entropy(wanted, log_q), student, teacher, dim=1)


@final
@register
class OFALoss(nn.Module):
    """One-for-all distillation (Hao et al. 2023), the stages' heads inside.

    Args:
        num_classes: Classes of the teacher's logits; may be omitted with `heads`.
        channels: Channels of the feature of each stage, the last stage of the student last; may be omitted with `heads`.
        gamma: γ ≥ 1, or one for each stage; 1 on CIFAR-100 and 1.5 on ImageNet.
        width: Channels of the heads before their linear layers; the channels of the last stage by default. The authors
            use those of the student's or the teacher's last stage, whichever are more. Heads of sequences have none.
        temperature: τ > 0.
        heads: One module for each stage, from its feature to logits, instead of `num_classes`, `channels` and `width`.
        sequences: Features are (batch, tokens, channels) instead of maps.
        mode: `paper` or `code`, see above.

    >>> import torch
    >>> loss = OFALoss(num_classes=3, channels=[4, 8])
    >>> loss([torch.ones(2, 4, 8, 8), torch.ones(2, 8, 4, 4)], torch.zeros(2, 3), target=torch.tensor([0, 1])).shape
    torch.Size([])
    """

    reduction_scope: str = "local"
    """`sample` for heads without batch normalisation."""

    @checked
    def __init__(
        self,
        num_classes: PositiveInt | None = None,
        channels: Sequence[PositiveInt] | None = None,
        gamma: Annotated[float, Range(min=1)] | Sequence[Annotated[float, Range(min=1)]] = 1.0,
        *,
        width: PositiveInt | None = None,
        temperature: PositiveFloat = 1.0,
        heads: Sequence[nn.Module] | None = None,
        sequences: bool = False,
        mode: Mode = "code",
    ) -> None:
        super().__init__()
        if heads is not None and (num_classes is not None or channels is not None or width is not None or sequences):
            message = "`heads` replaces `num_classes`, `channels`, `width` and `sequences`: give either"
            raise ValueError(message)
        self.heads = nn.ModuleList(_heads(num_classes, channels, width, sequences) if heads is None else heads)
        self.gammas = [gamma] * len(self.heads) if isinstance(gamma, int | float) else list(gamma)
        if len(self.gammas) != len(self.heads):
            message = f"`gamma` has {len(self.gammas)} numbers for {len(self.heads)} stages: give one, or one per stage"
            raise ValueError(message)
        self.temperature, self.mode = temperature, one_of("mode", mode, Mode)
        self.reduction_scope = reduction_scope_of(self.heads)

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Features of the stages, one per head.
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
            target_enhanced(head(feature), teacher, target, gamma, self.mode, self.temperature).mean()
            for head, feature, gamma in zip(self.heads, features, self.gammas, strict=True)
        ]
        return torch.stack(stages).sum()


@final
@register
class OFALogitsLoss(nn.Module):
    """The loss of one-for-all distillation (Hao et al. 2023) for the student's final logits.

    Args:
        gamma: γ ≥ 1.
        temperature: τ > 0.
        mode: `paper` or `code`, see above.

    >>> import torch
    >>> OFALogitsLoss(mode="paper")(torch.zeros(1, 2), torch.zeros(1, 2), target=torch.tensor([0]))
    tensor(1.3863)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self, gamma: Annotated[float, Range(min=1)] = 1.0, temperature: PositiveFloat = 1.0, mode: Mode = "code"
    ) -> None:
        super().__init__()
        self.gamma, self.temperature = gamma, temperature
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes).

        Args:
            student: The student's logits.
            teacher: The teacher's logits.
            target: (batch,), class indices; or (batch, classes), probabilities whose largest one counts.
        """
        return target_enhanced(student, teacher, target, self.gamma, self.mode, self.temperature).mean()


def _heads(
    num_classes: int | None, channels: Sequence[int] | None, width: int | None, sequences: bool
) -> list[StageHead]:
    if num_classes is None or not channels:
        message = "`num_classes` and `channels` are missing: give both, or `heads`"
        raise ValueError(message)
    last = len(channels) - 1
    return [
        StageHead(count, num_classes, width=width or channels[-1], halvings=last - index, sequences=sequences)
        for index, count in enumerate(channels)
    ]
