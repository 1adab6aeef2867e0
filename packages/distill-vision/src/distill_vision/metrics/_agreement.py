"""Agreement of the student's predictions with the teacher's.

Samuel Stanton, Pavel Izmailov, Polina Kirichenko, Alexander A. Alemi, Andrew Gordon Wilson. "Does Knowledge
Distillation Really Work?" NeurIPS 2021. https://arxiv.org/abs/2106.05945
"""

from __future__ import annotations

from typing import final

from torch import Tensor

from ._sums import AbstractMean


@final
class Agreement(AbstractMean):
    """The fraction of samples to which student and teacher give the highest score in the same class.

    >>> import torch
    >>> agreement = Agreement()
    >>> agreement.update(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([[2.0, 3.0], [2.0, 3.0]]))
    >>> agreement.compute()
    0.5
    """

    percent = True

    def update(self, student: Tensor, teacher: Tensor) -> None:
        """Add a batch of scores, each (batch, classes).

        Raises:
            ValueError: The shapes differ.
        """
        check_same_shape(student, teacher)
        self._add_samples(student.detach().argmax(1) == teacher.detach().argmax(1))


def check_same_shape(student: Tensor, teacher: Tensor) -> None:
    """Check that the scores of student and teacher are both (batch, classes).

    Raises:
        ValueError: They are not.
    """
    if student.ndim != 2 or student.shape != teacher.shape:
        message = (
            "scores of student and teacher must have the same shape (batch, classes), "
            f"got {tuple(student.shape)} and {tuple(teacher.shape)}"
        )
        raise ValueError(message)
