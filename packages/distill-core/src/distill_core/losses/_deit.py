"""Data-efficient image transformer (DeiT): a distillation token learns the teacher's decision, the class token the label.

    hard:  L = mean over samples of ( 1 − α ) · H( y, softmax(c) ) + α · H( argmax t, softmax(d) )
    soft:  L = mean over samples of ( 1 − α ) · H( y, softmax(c) ) + α · τ² · KL( softmax(t/τ) ‖ softmax(d/τ) )

c and d are the logits of the class token and of the distillation token. A student with one head has c = d, the paper's
hard distillation without a token. At inference the paper adds the two softmaxes; the sum of the logits, which most code
returns, is almost the same. y may be smoothed or mixed (Mixup, CutMix). The teacher sees the same mixed images.

`hard` is the authors' code (facebookresearch/deit). Its `soft` additionally divides the divergence by the number
of classes, against the paper: multiply by the number of classes to compare.

unverified: the golden values are of the authors' statements, retyped; their file was not run.

Use: vision transformers with a distillation token, and hard labels of a teacher.
Taps: [`student:out.0`, `student:out.1`], the logits of the two tokens, or the logits of a single head.

Paper: Training Data-Efficient Image Transformers & Distillation through Attention
Authors: Hugo Touvron, Matthieu Cord, Matthijs Douze, Francisco Massa, Alexandre Sablayrolles, Hervé Jégou
Venue: ICML
Year: 2021
Link: https://arxiv.org/abs/2012.12877
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

from torch import Tensor, nn

from ..layers import (
    at_least_float32,
    one_of,
    require_class_logits,
    require_same_shape,
    smooth_cross_entropy,
)
from ..ranges import Fraction, PositiveFloat, checked
from ..registry import register
from ._kd import kd_divergence

Mode = Literal["hard", "soft"]


def hard_label_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the cross-entropy of the student with the teacher's most probable class.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.

    Returns:
        (batch,).
    """
    return smooth_cross_entropy(at_least_float32(student), teacher.argmax(dim=1), 0.0)


@final
@register
class DeiTLoss(nn.Module):
    """Hard-label distillation through a token (Touvron et al. 2021).

    Args:
        alpha: α, the teacher's fraction of the loss, from 0 to 1.
        mode: `hard`, the teacher's decision, or `soft`, its probabilities.
        temperature: τ > 0 of `soft`.
        smoothing: Label smoothing of the class token, from 0 to 1.

    >>> import torch
    >>> tokens, teacher = [torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])], torch.tensor([[0.0, 3.0]])
    >>> DeiTLoss()(tokens, teacher, target=torch.tensor([0]))
    tensor(0.2201)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        alpha: Fraction = 0.5,
        mode: Mode = "hard",
        temperature: PositiveFloat = 3.0,
        smoothing: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.mode = one_of("mode", mode, Mode)
        self.alpha, self.temperature, self.smoothing = alpha, temperature, smoothing

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, classes) of the class token and of the distillation token; one tensor for both if
                the student has no distillation token.
            teacher: Logits (batch, classes).
            target: (batch,), class indices; or (batch, classes), probabilities.

        Raises:
            ValueError: If there are not one or two tensors of logits of the teacher's shape.
            DataError: If a target is not a class.
        """
        classes, distillation = _tokens(student)
        mixed = target.is_floating_point() and target.shape == classes.shape
        require_class_logits(classes, None if mixed else target)
        require_same_shape(classes, teacher)
        require_same_shape(distillation, teacher)
        labels = smooth_cross_entropy(at_least_float32(classes), target, self.smoothing)
        if self.mode == "hard":
            teaching = hard_label_cross_entropy(distillation, teacher)
        else:
            teaching = kd_divergence(distillation, teacher, self.temperature)
        return (1 - self.alpha) * labels.mean() + self.alpha * teaching.mean()


def _tokens(student: Tensor | Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    if isinstance(student, Tensor):
        return student, student
    if len(student) != 2:
        message = f"`student` must be logits, or [class token's, distillation token's], got {len(student)} tensors"
        raise ValueError(message)
    return student[0], student[1]
