"""WSLDLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import WSLDLoss

from .cases import Case
from .derivations import assert_continuous, labelled_batches, refusal, softmax


def labelled(batch: int) -> dict:
    return {
        "student": 3 * torch.randn(batch, 5),
        "teacher": 3 * torch.randn(batch, 5),
        "target": torch.randint(5, (batch,)),
    }


CASES = [Case(name="WSLDLoss", loss=WSLDLoss, inputs=labelled, zero_at_equality=True)]


def slow(student, teacher, target, temperature: float) -> float:
    total = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        ours, theirs = -math.log(softmax(s)[y]), -math.log(softmax(t)[y])
        weight = 1 - math.exp(-ours / (theirs + 1e-7))
        pairs = zip(softmax(t, temperature), softmax(s, temperature), strict=True)
        total += weight * temperature**2 * sum(p * math.log(p / q) for p, q in pairs)
    return total / len(target)


@given(batch=labelled_batches(), temperature=st.floats(0.8, 10))
def test_equals_the_slow_derivation(batch: tuple, temperature: float):
    value = WSLDLoss(temperature)(*batch)
    assert value.item() == pytest.approx(slow(*batch, temperature), rel=1e-7, abs=1e-8)


def test_a_sample_that_the_student_knows_counts_for_little():
    teacher, target = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0])
    knows, errs = torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([[-9.0, 0.0, 0.0]])
    assert WSLDLoss()(knows, teacher, target) < 0.01
    assert WSLDLoss()(errs, teacher, target) > 1


def test_gradient_is_that_of_finite_differences_with_constant_weights():
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    target = torch.tensor([0, 3, 1])
    loss = WSLDLoss()(student.requires_grad_(), teacher, target)
    (gradient,) = torch.autograd.grad(loss, student)
    ours, theirs = (torch.nn.functional.cross_entropy(x, target, reduction="none") for x in (student, teacher))
    weight = 1 - torch.exp(-ours / (theirs + 1e-7)).detach()
    closed = 2 * weight[:, None] * (softmaxes(student / 2) - softmaxes(teacher / 2)) / 3
    torch.testing.assert_close(gradient, closed.detach())


def softmaxes(logits: torch.Tensor) -> torch.Tensor:
    return torch.softmax(logits, dim=1)


@pytest.mark.parametrize("value", [0.5, 2.0, 8.0])
def test_is_continuous_in_the_temperature(value: float):
    inputs = labelled(4)
    assert_continuous(lambda x: WSLDLoss(temperature=x)(**inputs), value)


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)
    assert refusal(lambda: WSLDLoss()(*shapes)) == "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    assert refusal(lambda: WSLDLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
