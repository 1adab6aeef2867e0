"""Teacher-free knowledge distillation (Tf-KD): a virtual teacher that knows only the label.

    u(k) = a for the target, (1 − a)/(K − 1) for the K − 1 other classes
    paper:  L = mean over samples of KL( softmax(log u/τ) ‖ softmax(s/τ) )
    code:   L = mean over samples of KL( softmax(u/τ) ‖ softmax(s) ) / K

The authors' code (yuanli2333/Teacher-free-Knowledge-Distillation) softens u itself instead of its logarithm, keeps the
student's temperature at 1 and averages over the classes too. Its `multiplier` is the weight of the term. The paper adds
the cross-entropy of the labels as a separate term.

The other half of the paper, self-training (Tf-KD_self), is `KDLoss` with a previously trained teacher of the student's
own architecture.

Use: classifiers without a teacher, as a regulariser.
Taps: the logits `student`, and `batch.target`.

Paper: Revisiting Knowledge Distillation via Label Smoothing Regularization
Authors: Li Yuan, Francis EH Tay, Guilin Li, Tao Wang, Jiashi Feng
Venue: CVPR
Year: 2020
Link: https://arxiv.org/abs/1909.11723
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_least_float32,
    filled,
    kl_divergence,
    one_of,
    refuse_infinite_target,
    require_class_logits,
    ruled_out,
)
from ..ranges import Fraction, PositiveFloat, checked
from ..registry import register

Mode = Literal["paper", "code"]


def virtual_teacher(
    target: Tensor,
    classes: int,
    correct: float = 0.99,
    dtype: torch.dtype = torch.float32,
    allowed: Tensor | None = None,
) -> Tensor:
    """Return the probabilities u, (batch, classes).

    Args:
        target: (batch,), class indices.
        classes: K, at least 2.
        correct: a, the probability of the target.
        dtype: Dtype of the result.
        allowed: (batch, classes), allowed classes; the others have probability 0. All by default.
    """
    if allowed is None:
        rest = (1 - correct) / (classes - 1)
        return F.one_hot(target, classes).to(dtype) * (correct - rest) + rest
    others = (1 - correct) / (allowed.sum(1, keepdim=True) - 1).clamp(min=1).to(dtype)
    return (F.one_hot(target, classes).to(dtype) * (correct - others) + others) * allowed


def virtual_divergence(
    student: Tensor, target: Tensor, correct: float = 0.99, temperature: float = 20.0, mode: Mode = "paper"
) -> Tensor:
    """Return the divergence of the student from the virtual teacher.

    Args:
        student: Logits (batch, classes).
        target: (batch,), class indices.
        correct: a, from 0 to 1.
        temperature: τ > 0.
        mode: `paper` or `code`, see the formulas above.
    """
    student = at_least_float32(student)
    # The virtual teacher has the student's allowed classes, and always the target.
    hidden = ruled_out(student)
    hidden = None if hidden is None else hidden.scatter(1, target[:, None], False)
    allowed = None if hidden is None else ~hidden
    knowledge = virtual_teacher(target, student.shape[1], correct, student.dtype, allowed)
    if mode == "paper":
        knowledge, student = knowledge.log(), student / temperature
    log_teacher = F.log_softmax(filled(knowledge / temperature, hidden, -torch.inf), dim=1)
    values = refuse_infinite_target(kl_divergence(log_teacher, F.log_softmax(student, dim=1)), student, target)
    if mode == "code":
        values = values / (student.shape[1] if allowed is None else allowed.sum(1))
    return values.mean()


@final
@register
class TfKDLoss(nn.Module):
    """Teacher-free knowledge distillation by a virtual teacher (Yuan et al. 2020).

    Args:
        correct: a, the virtual teacher's probability of the target, from 0 to 1.
        temperature: τ > 0.
        mode: `paper` or `code`, see the formulas above.

    >>> import torch
    >>> student, target = torch.tensor([[4.0, 0.0, 0.0]]), torch.tensor([1])
    >>> TfKDLoss(temperature=2.0)(student, target), TfKDLoss(mode="code")(student, target)
    (tensor(1.6531), tensor(0.5421))
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, correct: Fraction = 0.99, temperature: PositiveFloat = 20.0, mode: Mode = "paper") -> None:
        super().__init__()
        self.correct = correct
        self.temperature = temperature
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes) and class indices (batch,)."""
        require_class_logits(student, target)
        return virtual_divergence(student, target, self.correct, self.temperature, self.mode)
