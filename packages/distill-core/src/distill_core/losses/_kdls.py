"""Knowledge distillation with label smoothing (KD-LS): smoothed labels next to a teacher trained with them.

    u = (1 − ε) · one-hot(y) + ε/K
    L = mean over samples of ( 1 − α ) · H( u, softmax(s) ) + α · τ² · KL( softmax(t/τ) ‖ softmax(s/τ) )

The paper finds, against earlier claims, that a teacher trained with label smoothing is a good teacher. Train it with
`torch.nn.CrossEntropyLoss(label_smoothing=ε)`, then the student with this loss. The paper uses τ = 1, because higher
temperatures blur what smoothing preserves. Both parts exist as separate terms, `CrossEntropyLoss` and `KDLoss`. Here
one weight α divides the target between them.

Use: a teacher that was trained with label smoothing.
Taps: the logits, `student` and `teacher`, and `batch.target`.

Paper: Is Label Smoothing Truly Incompatible with Knowledge Distillation: An Empirical Study
Authors: Zhiqiang Shen, Zechun Liu, Dejia Xu, Zitian Chen, Kwang-Ting Cheng, Marios Savvides
Venue: ICLR
Year: 2021
Link: https://arxiv.org/abs/2104.00676
"""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor, nn

from ..layers import at_least_float32, require_class_logits, smooth_cross_entropy
from ..ranges import Fraction, PositiveFloat, checked
from ..registry import register
from ._kd import kd_divergence


@final
@register
class KDLSLoss(nn.Module):
    """Knowledge distillation with label smoothing (Shen et al. 2021).

    Args:
        smoothing: ε, from 0 to 1.
        alpha: α, the teacher's fraction of the target, from 0 to 1.
        temperature: τ > 0.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> KDLSLoss(alpha=0.5)(student, teacher, target=torch.tensor([0]))
    tensor(0.3116)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, smoothing: Fraction = 0.1, alpha: Fraction = 0.9, temperature: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.alpha = alpha
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes) and class indices (batch,)."""
        require_class_logits(student, target)
        labels = smooth_cross_entropy(at_least_float32(student), target, self.smoothing).mean()
        teaching = kd_divergence(student, teacher, self.temperature).mean()
        return (1 - self.alpha) * labels + self.alpha * teaching
