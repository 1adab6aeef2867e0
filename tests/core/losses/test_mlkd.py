"""MLKDLoss against loops over samples and classes."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import KDLoss, MLKDLoss

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def two_views(batch: int) -> dict:
    return {name: [3 * torch.randn(batch, 5) for _ in range(2)] for name in ("student", "teacher")}


CASES = [
    Case(name="MLKDLoss", loss=MLKDLoss, inputs=two_views, zero_at_equality=True),
    Case(name="MLKDLoss-code", loss=lambda: MLKDLoss(mode="code"), inputs=two_views, zero_at_equality=True),
    Case(
        name="MLKDLoss-standardised",
        loss=lambda: MLKDLoss(mode="code", standardise=True),
        inputs=two_views,
        zero_at_equality=True,
    ),
    Case(
        name="MLKDLoss-one_view",
        loss=MLKDLoss,
        inputs=lambda batch: {"student": torch.randn(batch, 5), "teacher": torch.randn(batch, 5)},
        zero_at_equality=True,
    ),
]


def gram(rows: list[list[float]]) -> list[float]:
    return [sum(a * b for a, b in zip(x, y, strict=True)) for x in rows for y in rows]


def slow_parts(student, teacher, temperature: float) -> tuple[float, float, float]:
    """The three terms of one view and one temperature."""
    q, p = ([softmax(row, temperature) for row in logits.tolist()] for logits in (student, teacher))
    columns = [[list(column) for column in zip(*rows, strict=True)] for rows in (p, q)]
    divergence = temperature**2 * sum(kl(a, b) for a, b in zip(p, q, strict=True)) / len(p)
    differences = [
        sum((a - b) ** 2 for a, b in zip(gram(x), gram(y), strict=True)) / len(x) for x, y in ((p, q), columns)
    ]
    return divergence, differences[0], differences[1]


def slow(student: list, teacher: list, temperatures: list[float], mode: str) -> float:
    if mode == "paper":
        views = zip(student, teacher, strict=True)
        return sum(sum(slow_parts(*view, tau)) for view in views for tau in temperatures)
    p = [softmax(row) for row in teacher[0].tolist()]
    confidences, masses = [max(row) for row in p], [sum(column) for column in zip(*p, strict=True)]
    of_samples, of_classes = (
        sum(x <= statistics.median(values) for x in values) / len(values) for values in (confidences, masses)
    )
    total = 0.0
    for tau in temperatures:
        weak, strong = (slow_parts(student[view], teacher[view], tau) for view in range(2))
        total += of_samples * (weak[0] + weak[1]) + of_classes * weak[2]
        total += (weak if tau in (min(temperatures), max(temperatures)) else strong)[0]
    return total


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(shape=st.tuples(st.integers(1, 5), st.integers(2, 5)), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(mode: str, shape: tuple, seed: int):
    torch.manual_seed(seed)
    student, teacher = ([2 * torch.randn(shape, dtype=torch.float64) for _ in range(2)] for _ in range(2))
    value = MLKDLoss([1.5, 2.0, 4.0], mode)(student, teacher)
    assert value.item() == pytest.approx(slow(student, teacher, [1.5, 2.0, 4.0], mode), rel=1e-8, abs=1e-8)


def test_is_more_than_kd_by_what_the_grams_differ():
    inputs = {name: views[0] for name, views in two_views(4).items()}
    assert MLKDLoss([2.0])(**inputs) > KDLoss(2.0)(**inputs)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_gradient_is_that_of_finite_differences(mode: str):
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    loss = MLKDLoss([1.0, 2.0, 3.0], mode)
    assert torch.autograd.gradcheck(lambda s: loss(list(s), list(teacher)), student.requires_grad_())


def test_is_continuous_in_a_temperature():
    inputs = two_views(4)
    assert_continuous(lambda x: MLKDLoss([x, 4.0])(**inputs), 2.0)


def test_what_makes_no_sense_is_refused():
    one = [torch.zeros(2, 3)]
    assert refusal(lambda: MLKDLoss()(one, one * 2)) == (
        "`student` has 1 features and `teacher` 2: give one of each per pair"
    )
    assert refusal(lambda: MLKDLoss()(one, [torch.zeros(2, 4)])) == (
        "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    )
    assert refusal(lambda: MLKDLoss(mode="code")(one, one)) == "mode 'code' takes two views, [weak, strong], got 1"
    assert refusal(lambda: MLKDLoss([0.0])) == "`temperatures` must be > 0, got 0.0"
    assert refusal(lambda: MLKDLoss(mode="both")) == "`mode` must be 'paper' or 'code', got 'both'"
