"""DISTLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import DISTLoss, correlation_losses, pearson

from .cases import Case
from .derivations import assert_continuous, refusal, softmax


def logits(batch: int) -> dict:
    return {name: 3 * torch.randn(batch, 5) for name in ("student", "teacher")}


def maps(batch: int) -> dict:
    return {name: 3 * torch.randn(batch, 5, 2, 3) for name in ("student", "teacher")}


CASES = [
    Case(
        name="DISTLoss", loss=DISTLoss, inputs=logits, zero_at_equality=True, at_temperature=lambda t: DISTLoss(1, 2, t)
    ),
    Case(name="DISTLoss-maps", loss=lambda: DISTLoss(2.0, 2.0, 4.0), inputs=maps, zero_at_equality=True),
]


def slow_pearson(a: list[float], b: list[float]) -> float:
    centred = [[x - sum(values) / len(values) for x in values] for values in (a, b)]
    norms = [math.sqrt(sum(x * x for x in values)) for values in centred]
    if min(norms) <= 1e-7:
        return 0.0
    return sum(x * y for x, y in zip(*centred, strict=True)) / norms[0] / norms[1]


def slow(student: list[list[float]], teacher: list[list[float]], temperature: float) -> tuple[float, float]:
    p, q = ([softmax(row, temperature) for row in rows] for rows in (student, teacher))
    rows = [slow_pearson(a, b) for a, b in zip(p, q, strict=True)]
    columns = [slow_pearson(a, b) for a, b in zip(zip(*p, strict=True), zip(*q, strict=True), strict=True)]
    inter, intra = (1 - sum(found) / len(found) for found in (rows, columns))
    return temperature**2 * inter, temperature**2 * intra


@given(shape=st.tuples(st.integers(1, 5), st.integers(2, 5)), temperature=st.floats(0.5, 10), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(shape: tuple[int, int], temperature: float, seed: int):
    torch.manual_seed(seed)
    student, teacher = 2 * torch.randn(2, *shape, dtype=torch.float64)
    inter, intra = slow(student.tolist(), teacher.tolist(), temperature)
    value = DISTLoss(2.0, 3.0, temperature)(student, teacher)
    assert value.item() == pytest.approx(2 * inter + 3 * intra, rel=1e-7, abs=1e-9)


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: DISTLoss(1.0, 2.0, 3.0)(s, teacher), student.requires_grad_())


@given(beta=st.floats(0, 5), gamma=st.floats(0, 5), temperature=st.floats(0.5, 10))
def test_is_continuous_in_all_three(beta: float, gamma: float, temperature: float):
    student, teacher = torch.arange(24.0).double().sin().view(2, 3, 4)
    assert_continuous(lambda x: DISTLoss(x, gamma, temperature)(student, teacher), at=beta)
    assert_continuous(lambda x: DISTLoss(beta, x, temperature)(student, teacher), at=gamma)
    assert_continuous(lambda x: DISTLoss(beta, gamma, x)(student, teacher), at=temperature)


def test_a_weight_of_zero_leaves_the_other_term():
    inputs = logits(6)
    inter, intra = correlation_losses(**inputs)
    torch.testing.assert_close(DISTLoss(1.0, 0.0)(**inputs), inter)
    torch.testing.assert_close(DISTLoss(0.0, 1.0)(**inputs), intra)


def test_the_positions_of_a_map_are_samples():
    inputs = maps(3)
    rows = {name: value.movedim(1, -1).reshape(-1, 5) for name, value in inputs.items()}
    torch.testing.assert_close(DISTLoss()(**inputs), DISTLoss()(**rows))


def test_correlation_knows_sign_but_neither_size_nor_shift():
    x = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(pearson(x, 3 * x + 2, dim=1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(pearson(x, 2 - 3 * x, dim=1), -torch.ones(4, dtype=torch.float64))


def test_a_student_without_opinion_gets_no_gradient_rather_than_a_vast_one():
    """As with a last layer that starts at zero."""
    student = torch.zeros(4, 5, requires_grad=True)
    value = DISTLoss()(student, torch.randn(4, 5))
    value.backward()
    assert value.item() == pytest.approx(2)
    assert student.grad.abs().max() < 1e-6


def test_refusals():
    assert refusal(lambda: DISTLoss(-1.0)) == "`beta` must be >= 0, got -1.0"
    assert refusal(lambda: DISTLoss(gamma=-1.0)) == "`gamma` must be >= 0, got -1.0"
    assert refusal(lambda: DISTLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
    expected = "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    assert refusal(lambda: DISTLoss()(torch.zeros(2, 3), torch.zeros(2, 4))) == expected
