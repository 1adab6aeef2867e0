"""Divergence of the student's probabilities from the teacher's.

Samuel Stanton, Pavel Izmailov, Polina Kirichenko, Alexander A. Alemi, Andrew Gordon Wilson. "Does Knowledge
Distillation Really Work?" NeurIPS 2021. https://arxiv.org/abs/2106.05945
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ._agreement import check_same_shape
from ._sums import AbstractMean


@final
class TeacherDivergence(AbstractMean):
    """The mean over samples of KL(teacher ‖ student), in nats.

    Args:
        temperature: Divides the logits of both.

    >>> divergence = TeacherDivergence()
    >>> divergence.update(torch.zeros(1, 2), torch.tensor([[0.0, float("-inf")]]))
    >>> round(divergence.compute(), 4)
    0.6931
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__(torch.float64)
        self.temperature = temperature

    def update(self, student: Tensor, teacher: Tensor) -> None:
        """Add a batch of logits, each (batch, classes).

        Raises:
            ValueError: The shapes differ.
        """
        check_same_shape(student, teacher)
        log_student = (student.detach().double() / self.temperature).log_softmax(1)
        log_teacher = (teacher.detach().double() / self.temperature).log_softmax(1)
        probability = log_teacher.exp()
        # A class of probability 0 adds 0 · −∞, which is defined as 0.
        self._add_samples(torch.where(probability > 0, probability * (log_teacher - log_student), 0.0))
