"""CCKDLoss against loops over pairs of samples, and its expansion against the Gaussian kernel."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import CCKDLoss, correlation

from .cases import Case
from .derivations import refusal


def features(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 2), "teacher": torch.randn(batch, 7)}


CASES = [
    Case(name="CCKDLoss", loss=lambda: CCKDLoss(4), inputs=features),
    Case(name="CCKDLoss-bilinear", loss=lambda: CCKDLoss(4, "bilinear"), inputs=features),
    Case(name="CCKDLoss-given", loss=lambda: CCKDLoss(4, student_features=6, teacher_features=7), inputs=features),
]


def slow_embedding(rows: list[list[float]], linear: torch.nn.Linear) -> list[list[float]]:
    result = []
    for row in rows:
        pairs = zip(linear.weight.tolist(), linear.bias.tolist(), strict=True)
        mapped = [sum(w * x for w, x in zip(weights, row, strict=True)) + bias for weights, bias in pairs]
        size = math.sqrt(sum(x * x for x in mapped))
        result.append([x / size for x in mapped])
    return result


def slow_kernel(a: list[float], b: list[float], loss: CCKDLoss) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    if loss.kernel == "bilinear":
        return product
    terms = [(2 * loss.gamma) ** p / math.factorial(p) * product**p for p in range(loss.order + 1)]
    return math.exp(-2 * loss.gamma) * sum(terms)


@pytest.mark.parametrize("kernel", ["gaussian", "bilinear"])
@given(batch=st.integers(1, 4), gamma=st.floats(0, 2), order=st.integers(0, 4), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(kernel: str, batch: int, gamma: float, order: int, seed: int):
    torch.manual_seed(seed)
    loss = CCKDLoss(3, kernel, gamma, order, student_features=2, teacher_features=5).double()
    student, teacher = torch.randn(batch, 2, dtype=torch.float64), torch.randn(batch, 5, dtype=torch.float64)
    ours = slow_embedding(student.tolist(), loss.student_embedding.linear)
    theirs = slow_embedding(teacher.tolist(), loss.teacher_embedding.linear)
    total = 0.0
    for i in range(batch):
        for j in range(batch):
            total += (slow_kernel(ours[i], ours[j], loss) - slow_kernel(theirs[i], theirs[j], loss)) ** 2
    assert loss(student, teacher).item() == pytest.approx(total / batch**2, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "bilinear"])
def test_gradient_is_that_of_finite_differences(kernel: str):
    loss = CCKDLoss(3, kernel, student_features=2, teacher_features=5).double()
    student, teacher = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


@given(gamma=st.floats(0, 2))
def test_is_continuous_in_gamma(gamma: float):
    unit = torch.nn.functional.normalize(torch.arange(12.0).double().sin().view(4, 3), dim=1)
    torch.testing.assert_close(correlation(unit, gamma=gamma + 1e-6), correlation(unit, gamma=gamma), atol=1e-5, rtol=0)


def test_many_terms_are_the_gaussian_kernel():
    unit = torch.nn.functional.normalize(torch.randn(4, 3, dtype=torch.float64), dim=1)
    expected = torch.exp(-0.7 * torch.cdist(unit, unit).square())
    torch.testing.assert_close(correlation(unit, gamma=0.7, order=30), expected)


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: CCKDLoss(kernel="gauss")) == "`kernel` must be 'gaussian' or 'bilinear', got 'gauss'"
    assert refusal(lambda: CCKDLoss(gamma=-0.4)) == "`gamma` must be >= 0, got -0.4"
    assert refusal(lambda: CCKDLoss(order=-1)) == "`order` must be >= 0, got -1"
