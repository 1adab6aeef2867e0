"""ITRDLoss against loops over samples and features."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import ITRDLoss, correlation_term, mutual_information_term

from .cases import Case
from .derivations import assert_continuous, refusal


def vectors(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 2, 2), "teacher": 2 * torch.randn(batch, 7) + 1}


CASES = [
    Case(name="ITRDLoss", loss=ITRDLoss, inputs=vectors),
    Case(name="ITRDLoss-code", loss=lambda: ITRDLoss(mode="code", student_features=12), inputs=vectors),
    Case(name="ITRDLoss-mutual", loss=lambda: ITRDLoss(0.0, 3.0, teacher_features=7), inputs=vectors),
]


def standardised(column: list[float]) -> list[float]:
    mean = sum(column) / len(column)
    variance = sum((x - mean) ** 2 for x in column) / len(column)
    return [(x - mean) / math.sqrt(variance + 1e-5) for x in column]


def slow_correlation(student: Tensor, teacher: Tensor, alpha: float) -> float:
    total = 0.0
    for s, t in zip(student.T.tolist(), teacher.T.tolist(), strict=True):
        v = sum(a * b for a, b in zip(standardised(s), standardised(t), strict=True)) / len(s)
        total += abs(v - 1) ** (2 * alpha)
    return math.log2(total + 1e-12)


def cosines(rows: list[list[float]]) -> list[list[float]]:
    units = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]
    return [[sum(a * b for a, b in zip(one, other, strict=True)) for other in units] for one in units]


def squared_norm(gram: list[list[float]]) -> float:
    trace = sum(gram[i][i] for i in range(len(gram)))
    return sum((x / trace) ** 2 for row in gram for x in row)


def slow_mutual(student: Tensor, teacher: Tensor, mode: str) -> float:
    s, t = cosines(student.tolist()), cosines(teacher.tolist())
    both = [[a * b for a, b in zip(x, y, strict=True)] for x, y in zip(s, t, strict=True)]
    if mode == "code":
        return squared_norm(s) - squared_norm(both)
    return math.log2(squared_norm(s) + 1e-12) - math.log2(squared_norm(both) + 1e-12)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(
    batch=st.integers(2, 4),
    ours=st.integers(1, 4),
    theirs=st.integers(1, 4),
    weights=st.tuples(st.floats(0, 4), st.floats(0, 4)),
    alpha=st.floats(0.5, 3),
    seed=st.integers(0, 1000),
)
def test_equals_the_slow_derivation(
    mode: str, batch: int, ours: int, theirs: int, weights: tuple[float, float], alpha: float, seed: int
):
    torch.manual_seed(seed)
    student, teacher = torch.randn(batch, ours).double(), torch.randn(batch, theirs).double()
    loss = ITRDLoss(*weights, alpha, mode, ours, theirs).double()
    mapped = loss.regressor(student, like=teacher)
    expected = weights[0] * slow_correlation(mapped, teacher, alpha) + weights[1] * slow_mutual(mapped, teacher, mode)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_gradient_is_that_of_finite_differences(mode: str):
    inputs = {name: value.double() for name, value in vectors(4).items()}
    loss = ITRDLoss(mode=mode, student_features=12, teacher_features=7).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())


@given(alpha=st.floats(0.5, 3))
def test_correlation_is_continuous_in_alpha(alpha: float):
    student, teacher = torch.randn(2, 4, 5, dtype=torch.float64)
    assert_continuous(lambda a: correlation_term(student, teacher, a), alpha)


def test_equal_features_have_the_least_correlation_term_and_finite_gradients():
    features = torch.randn(6, 4, requires_grad=True)
    value = correlation_term(features, features.detach())
    value.backward()
    assert value.item() < -30
    assert features.grad.isfinite().all()


def test_mutual_information_is_least_where_the_teacher_adds_nothing():
    """With a teacher that takes all samples for the same, H is G(s)."""
    student = torch.randn(5, 3)
    same = torch.ones(5, 2)
    torch.testing.assert_close(mutual_information_term(student, same), torch.zeros(()), rtol=0, atol=1e-6)
    assert mutual_information_term(student, torch.eye(5)) > 0


def test_refusals():
    assert refusal(lambda: ITRDLoss(alpha=0.25)) == "`alpha` must be >= 0.5, got 0.25"
    assert refusal(lambda: ITRDLoss(mode="cod")) == "`mode` must be 'paper' or 'code', got 'cod'"
    assert (
        refusal(lambda: correlation_term(torch.zeros(2, 3), torch.zeros(2, 4)))
        == "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    )
