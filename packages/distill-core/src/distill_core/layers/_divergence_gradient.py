"""Divergences of rows of logits together with their gradient, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ._ruled_out import can_look, refuse_infinite

ValuesAndGradient = tuple[Tensor, Tensor]


def divergence_with_gradient(student: Tensor, teacher: Tensor, *, reverse: bool = False) -> ValuesAndGradient:
    """Return KL( softmax(teacher) ‖ softmax(student) ) and its gradient by the student's logits.

    With p of the teacher and q of the student the gradient is q − p; that of KL( q ‖ p ) is q · ( log(q/p) − KL ).

    Args:
        student: Logits (n, classes), at least float32.
        teacher: Logits of the same shape.
        reverse: KL( softmax(student) ‖ softmax(teacher) ) instead.

    Raises:
        DataError: If a value is infinite, see `refuse_infinite`.

    >>> import torch
    >>> divergence_with_gradient(torch.zeros(1, 2), torch.tensor([[0.0, 2.0]]))
    (tensor([0.3278]), tensor([[ 0.3808, -0.3808]]))
    """
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    if reverse:
        q = log_q.exp()
        parts, values = weighted(q, log_q.sub_(log_p))
        gradient = parts.sub_(q.mul_(values[:, None]))
    else:
        p = log_p.exp()
        _, values = weighted(p, log_p.sub_(log_q))
        gradient = log_q.exp_().sub_(p)
    return refuse_infinite(values, student, teacher, reverse=reverse), gradient


def weighted(p: Tensor, logs: Tensor) -> ValuesAndGradient:
    """Return p · logs, 0 where p is 0, and its sum over the classes.

    >>> import torch
    >>> weighted(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([-1.0, -2.0, -torch.inf]))
    (tensor([-0.5000, -1.0000,  0.0000]), tensor(-1.5000))
    """
    if can_look(p):
        parts = p * logs
        values = parts.sum(-1)
        if math.isfinite(values.sum().item()):
            return parts, values
    parts = p * logs.masked_fill(p == 0, 0)
    return parts, parts.sum(-1)


def at_temperatures(
    function: Callable[[Tensor, Tensor], ValuesAndGradient], student: float = 1.0, teacher: float | None = None
) -> Callable[[Tensor, Tensor], ValuesAndGradient]:
    """Return a function of logits with its gradient, which first divides them by temperatures.

    Args:
        function: From logits of student and teacher to values and gradient.
        student: > 0, the student's temperature.
        teacher: > 0, the teacher's; that of the student by default.
    """
    of_teacher = student if teacher is None else teacher

    def divided(ours: Tensor, theirs: Tensor) -> ValuesAndGradient:
        ours = ours if student == 1 else ours / student
        theirs = theirs if of_teacher == 1 else theirs / of_teacher
        values, gradient = function(ours, theirs)
        return values, gradient if student == 1 else gradient.div_(student)

    return divided
