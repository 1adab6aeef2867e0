"""NKDLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import NKDLoss

from .cases import Case
from .derivations import assert_continuous, labelled_batches, refusal, softmax, without


def labelled(batch: int) -> dict:
    return {
        "student": 3 * torch.randn(batch, 5),
        "teacher": 3 * torch.randn(batch, 5),
        "target": torch.randint(5, (batch,)),
    }


CASES = [Case(name="NKDLoss", loss=lambda: NKDLoss(temperature=2.0), inputs=labelled)]


def slow(student, teacher, target, gamma: float, temperature: float) -> float:
    total = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        total -= softmax(t)[y] * math.log(softmax(s)[y])
        rest = softmax(without(t, y), temperature), softmax(without(s, y), temperature)
        total -= gamma * temperature**2 * sum(p * math.log(q) for p, q in zip(*rest, strict=True))
    return total / len(target)


@given(batch=labelled_batches(), gamma=st.floats(0, 3), temperature=st.floats(0.8, 10))
def test_equals_the_slow_derivation(batch: tuple, gamma: float, temperature: float):
    value = NKDLoss(gamma, temperature)(*batch)
    assert value.item() == pytest.approx(slow(*batch, gamma, temperature), rel=1e-8, abs=1e-8)


def test_the_renormalised_rest_is_best_where_it_equals_the_teachers():
    teacher, target = torch.randn(4, 5, dtype=torch.float64), torch.tensor([0, 4, 2, 1])
    student = teacher.clone().scatter_add_(1, target[:, None], torch.randn(4, 1).double()).requires_grad_()
    (NKDLoss(gamma=1.0)(student, teacher, target) - NKDLoss(gamma=0.0)(student, teacher, target)).backward()
    torch.testing.assert_close(student.grad, torch.zeros_like(student), rtol=0, atol=1e-12)


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    loss = NKDLoss(2.0, 1.5)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, torch.tensor([0, 3, 1])), student.requires_grad_())


@pytest.mark.parametrize("value", [0.0, 1.0, 4.0])
def test_is_continuous_in_each_number(value: float):
    inputs = labelled(4)
    assert_continuous(lambda x: NKDLoss(gamma=x)(**inputs), value)
    assert_continuous(lambda x: NKDLoss(temperature=x)(**inputs), value + 0.5)


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)
    assert refusal(lambda: NKDLoss()(*shapes)) == "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    assert refusal(lambda: NKDLoss(gamma=-1.0)) == "`gamma` must be >= 0, got -1.0"
    assert refusal(lambda: NKDLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
