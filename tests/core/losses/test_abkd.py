"""ABKDLoss against loops over tokens; its limits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import ABKDLoss, ForwardKLLoss, ReverseKLLoss, alpha_beta_divergence

from .cases import Case
from .derivations import assert_continuous, drawn_sequences, refusal, sequences, slow_sequences

CASES = [
    Case(name="ABKDLoss", loss=ABKDLoss, inputs=sequences, zero_at_equality=True),
    Case(name="ABKDLoss-forward", loss=lambda: ABKDLoss(1.0, 0.0), inputs=sequences, zero_at_equality=True),
    Case(name="ABKDLoss-reverse", loss=lambda: ABKDLoss(0.0, 1.0), inputs=sequences, zero_at_equality=True),
    Case(name="ABKDLoss-logarithms", loss=lambda: ABKDLoss(0.0, 0.0), inputs=sequences, zero_at_equality=True),
]


def slow(p: list[float], q: list[float], alpha: float, beta: float) -> float:
    """The formulas as the paper has them."""
    if alpha == 0 and beta == 0:
        return sum((math.log(a) - math.log(b)) ** 2 for a, b in zip(p, q, strict=True)) / 2
    if alpha == 0:
        return slow(q, p, beta, alpha)
    pairs = list(zip(p, q, strict=True))
    if beta == 0:
        return sum(alpha * a**alpha * math.log(a / b) - a**alpha + b**alpha for a, b in pairs) / alpha**2
    both = alpha + beta
    terms = [a**alpha * b**beta - alpha / both * a**both - beta / both * b**both for a, b in pairs]
    return -sum(terms) / (alpha * beta)


NUMBER = st.just(0.0) | st.floats(0.05, 2)


@given(drawn=drawn_sequences(), alpha=NUMBER, beta=NUMBER)
def test_equals_the_slow_derivation(drawn: tuple, alpha: float, beta: float):
    expected = slow_sequences(lambda p, q: slow(p, q, alpha, beta), *drawn)
    assert ABKDLoss(alpha, beta)(*drawn).item() == pytest.approx(expected, rel=1e-7, abs=1e-7)


@given(drawn=drawn_sequences())
def test_the_series_near_0_equals_the_slow_derivation(drawn: tuple):
    expected = slow_sequences(lambda p, q: slow(p, q, 9e-4, 5e-4), *drawn)
    assert ABKDLoss(9e-4, 5e-4)(*drawn).item() == pytest.approx(expected, rel=2e-4, abs=1e-7)


def test_two_corners_are_the_two_divergences():
    inputs = sequences(4)
    torch.testing.assert_close(ABKDLoss(1.0, 0.0)(**inputs), ForwardKLLoss()(**inputs))
    torch.testing.assert_close(ABKDLoss(0.0, 1.0)(**inputs), ReverseKLLoss()(**inputs))


def test_two_halves_are_the_squared_hellinger_distance():
    inputs = sequences(4)
    roots = [torch.softmax(inputs[name], dim=2).sqrt() for name in ("student", "teacher")]
    distance = (roots[0] - roots[1]).square().sum(2)[inputs["mask"]].mean()
    torch.testing.assert_close(ABKDLoss(0.5, 0.5)(**inputs), 2 * distance)


@pytest.mark.parametrize("alpha", [0.0, 1e-5, 1e-3 - 1e-8, 0.2, 1.0])
@pytest.mark.parametrize("beta", [0.0, 1e-5, 1e-3 - 1e-8, 0.2, 1.0])
def test_is_continuous_in_both_numbers_and_in_float32(alpha: float, beta: float):
    inputs = sequences(4)
    assert_continuous(lambda x: ABKDLoss(x, beta)(**inputs), alpha, step=1e-7, tolerance=2e-3)
    assert_continuous(lambda x: ABKDLoss(alpha, x)(**inputs), beta, step=1e-7, tolerance=2e-3)


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (0.7, 0.2), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1e-4, 5e-4)])
def test_gradient_is_that_of_finite_differences(alpha: float, beta: float):
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    loss = ABKDLoss(alpha, beta, chunk=4)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3, 4), torch.zeros(2, 3, 5)
    assert refusal(lambda: ABKDLoss()(*shapes)) == (
        "`student` (2, 3, 4) and `teacher` (2, 3, 5) must have the same shape: "
        "logits of two tokenizers can be compared by ULDLoss, and of one tokenizer up to its last token"
    )
    assert refusal(lambda: ABKDLoss(alpha=-0.1)) == "`alpha` must be >= 0, got -0.1"
    assert refusal(lambda: ABKDLoss(beta=-0.1)) == "`beta` must be >= 0, got -0.1"
    assert refusal(lambda: ABKDLoss(chunk=0)) == "`chunk` must be >= 1, got 0"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (0.7, 0.2), (0.5, 0.5), (1.5, 0.05), (2.0, 3.0), (0.04, 0.7)])
def test_the_closed_form_is_that_of_autograd(alpha: float, beta: float, dtype: torch.dtype):
    """Also for equal logits, for a class that both sides exclude, and for probabilities whose powers underflow."""
    student, teacher = torch.randn(2, 1, 5, 50, dtype=dtype) * torch.tensor([1, 4, 4, 4, 30]).view(5, 1)
    student[0, 1] = teacher[0, 1]
    student[0, 2, 3] = teacher[0, 2, 3] = -torch.inf
    student.requires_grad_()
    value = alpha_beta_divergence(student, teacher, alpha, beta)
    (expected,) = torch.autograd.grad(value.mean(), student)
    found = ABKDLoss(alpha, beta)(student, teacher)
    (gradient,) = torch.autograd.grad(found, student)
    torch.testing.assert_close(found, value.mean())
    torch.testing.assert_close(gradient, expected)
