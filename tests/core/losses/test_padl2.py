"""PADL2Loss against loops over samples and features, its batch normalisation included."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import PADL2Loss, adaptive_l2

from .cases import Case
from .derivations import assert_continuous, refusal


def features(batch: int) -> dict:
    return {"student": torch.randn(batch, 5, 1, 1), "teacher": torch.randn(batch, 5)}


CASES = [
    Case(name="PADL2Loss", loss=PADL2Loss, inputs=features),
    Case(name="PADL2Loss-given", loss=lambda: PADL2Loss(1e-3, features=5), inputs=features),
]


def slow(student: list[list[float]], teacher: list[list[float]], weight: list[list[float]], eps: float) -> float:
    mapped = [[sum(w * x for w, x in zip(line, row, strict=True)) for line in weight] for row in student]
    columns = list(zip(*mapped, strict=True))
    means = [sum(column) / len(column) for column in columns]
    spreads = [sum((x - m) ** 2 for x in column) / len(column) for column, m in zip(columns, means, strict=True)]
    total = 0.0
    for s, t, row in zip(student, teacher, mapped, strict=True):
        for k, x in enumerate(row):
            log_variance = (x - means[k]) / math.sqrt(spreads[k] + 1e-5)
            total += (t[k] - s[k]) ** 2 / (math.exp(log_variance) + eps) + log_variance
    return total / len(student) / len(weight)


@given(batch=st.integers(2, 5), length=st.integers(1, 4), eps=st.floats(1e-6, 1), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(batch: int, length: int, eps: float, seed: int):
    torch.manual_seed(seed)
    loss = PADL2Loss(eps, features=length).double()
    student, teacher = torch.randn(2, batch, length, dtype=torch.float64)
    expected = slow(student.tolist(), teacher.tolist(), loss.branch.weight[:, :, 0, 0].tolist(), eps)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-9)


@given(batch=st.integers(1, 4), length=st.integers(1, 4), eps=st.floats(1e-6, 1), seed=st.integers(0, 1000))
def test_any_log_variance_counts(batch: int, length: int, eps: float, seed: int):
    """The branch's own have mean 0 as long as the shift of its normalisation is 0."""
    torch.manual_seed(seed)
    student, log_variance, teacher = torch.randn(3, batch, length, dtype=torch.float64)
    values = zip(*(x.flatten().tolist() for x in (student, log_variance, teacher)), strict=True)
    expected = sum((t - s) ** 2 / (math.exp(v) + eps) + v for s, v, t in values) / batch / length
    assert adaptive_l2(student, log_variance, teacher, eps).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gradient_is_that_of_finite_differences():
    loss = PADL2Loss(features=4).double()
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


@given(eps=st.floats(1e-6, 2))
def test_is_continuous_in_eps(eps: float):
    student, log_variance, teacher = torch.arange(36.0).double().sin().view(3, 4, 3)
    assert_continuous(lambda e: adaptive_l2(student, log_variance, teacher, e), at=eps, step=1e-8)


def test_a_variance_of_one_leaves_the_mean_squared_difference():
    student, teacher = torch.randn(2, 4, 3, dtype=torch.float64)
    value = adaptive_l2(student, torch.zeros(4, 3), teacher, eps=1e-12)
    torch.testing.assert_close(value, (student - teacher).square().mean())


def test_refusals():
    assert refusal(lambda: PADL2Loss(eps=0.0)) == "`eps` must be > 0, got 0.0"
    expected = "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    assert refusal(lambda: PADL2Loss()(torch.zeros(2, 3), torch.zeros(2, 4))) == expected
