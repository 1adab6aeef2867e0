"""How the predictions of a student differ from those of its teacher."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import kl_div


@dataclass(frozen=True)
class Agreement:
    """Predictions of a teacher and a student on the same samples.

    Attributes:
        agreement: Share of samples with one prediction of both.
        kl: Mean KL divergence of the student's probabilities from the teacher's, in nats.
        both_right: Number of samples on which both are right.
        only_teacher_right: Number of samples on which only the teacher is right.
        only_student_right: Number of samples on which only the student is right.
        both_wrong: Number of samples on which both are wrong.
        same_error: Number of samples on which both are wrong with one prediction.
    """

    agreement: float
    kl: float
    both_right: int
    only_teacher_right: int
    only_student_right: int
    both_wrong: int
    same_error: int

    @property
    def error_overlap(self) -> float:
        """Errors of both, as a share of the errors of either; 0 if neither makes an error."""
        either = self.both_wrong + self.only_teacher_right + self.only_student_right
        return self.both_wrong / either if either else 0.0


def agreement(student: Tensor, teacher: Tensor, target: Tensor) -> Agreement:
    """Compare logits (samples, classes) of two models with the classes (samples,).

    >>> scores = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    >>> agreement(scores, scores.flip(1), torch.tensor([0, 0])).agreement
    0.0
    """
    own, other = student.argmax(1), teacher.argmax(1)
    right, teacher_right = own == target, other == target
    return Agreement(
        agreement=float((own == other).double().mean()),
        kl=float(divergence(student, teacher).mean()),
        both_right=int((right & teacher_right).sum()),
        only_teacher_right=int((~right & teacher_right).sum()),
        only_student_right=int((right & ~teacher_right).sum()),
        both_wrong=int((~right & ~teacher_right).sum()),
        same_error=int((~right & (own == other)).sum()),
    )


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the KL divergence of the student from the teacher for each sample."""
    own, other = student.double().log_softmax(1), teacher.double().log_softmax(1)
    return kl_div(own, other, reduction="none", log_target=True).sum(1)


def confusion(logits: Tensor, target: Tensor) -> Tensor:
    """Return the number of samples of each class (row) by prediction (column)."""
    classes = logits.shape[1]
    return torch.bincount(target * classes + logits.argmax(1), minlength=classes * classes).reshape(classes, classes)
