"""SKDInstanceLoss and SKDDirectionLoss against loops over samples, with the inverse of the covariance itself."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import KDLoss, SKDDirectionLoss, SKDInstanceLoss, direction_distance

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def logits(batch: int) -> dict:
    return {name: 3 * torch.randn(batch, 5) for name in ("student", "teacher")}


CASES = [
    Case(name="SKDInstanceLoss", loss=SKDInstanceLoss, inputs=logits, zero_at_equality=True),
    Case(name="SKDInstanceLoss-code", loss=lambda: SKDInstanceLoss(mode="code"), inputs=logits, zero_at_equality=True),
    Case(name="SKDDirectionLoss", loss=SKDDirectionLoss, inputs=logits, zero_at_equality=True, scale_invariant=True),
    Case(name="SKDDirectionLoss-code", loss=lambda: SKDDirectionLoss(mode="code"), inputs=logits, scale_invariant=True),
]


def slow_instance(student: list, teacher: list, temperature: float, mode: str) -> float:
    sure = [max(softmax(row)) for row in teacher]
    divergences = [kl(softmax(t, temperature), softmax(s, temperature)) for s, t in zip(student, teacher, strict=True)]
    if mode == "code":
        middle = statistics.median(sure)
        share = sum(c <= middle for c in sure) / len(sure)
        divergences = [temperature**2 * d * share for d in divergences]
    return sum(divergences) / len(student)


def gram(rows: list[list[float]]) -> list[list[float]]:
    unit = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]
    return [[sum(x * y for x, y in zip(a, b, strict=True)) for b in unit] for a in unit]


def slow_direction(student: list, teacher: list, tikhonov: float, mode: str) -> float:
    count, classes = len(student), len(student[0])
    scale = classes if mode == "code" else 1
    grams = zip(gram(student), gram(teacher), strict=True)
    d = [[(a - b) / scale for a, b in zip(*rows, strict=True)] for rows in grams]
    means = [sum(row[j] for row in d) / count for j in range(count)]
    covariance = [
        [
            sum((row[i] - means[i]) * (row[j] - means[j]) for row in d) / max(count - 1, 1) + tikhonov * (i == j)
            for j in range(count)
        ]
        for i in range(count)
    ]
    inverse = torch.linalg.inv(torch.tensor(covariance, dtype=torch.float64)).tolist()
    total = 0.0
    for row in d:
        total += math.sqrt(sum(row[i] * inverse[i][j] * row[j] for i in range(count) for j in range(count)))
    if mode == "code":
        sums = [sum(column) for column in zip(*(softmax(row) for row in teacher), strict=True)]
        total *= sum(x <= statistics.median(sums) for x in sums) / classes
    return total / count


shapes = st.tuples(st.integers(1, 5), st.integers(2, 5))


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(shape=shapes, temperature=st.floats(0.5, 10), tikhonov=st.floats(1e-3, 1), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(mode: str, shape: tuple[int, int], temperature: float, tikhonov: float, seed: int):
    torch.manual_seed(seed)
    student, teacher = 2 * torch.randn(2, *shape, dtype=torch.float64)
    lists = student.tolist(), teacher.tolist()
    expected = slow_instance(*lists, temperature, mode)
    assert SKDInstanceLoss(temperature, mode)(student, teacher).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    expected = slow_direction(*lists, tikhonov, mode)
    assert SKDDirectionLoss(tikhonov, mode)(student, teacher).item() == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("mode", ["paper", "code"])
@pytest.mark.parametrize("loss", [SKDInstanceLoss, SKDDirectionLoss])
def test_gradient_is_that_of_finite_differences(loss: type, mode: str):
    student, teacher = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(mode=mode)(s, teacher), student.requires_grad_())


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(temperature=st.floats(0.5, 20), tikhonov=st.floats(1e-3, 2))
def test_is_continuous_in_temperature_and_tikhonov(mode: str, temperature: float, tikhonov: float):
    student, teacher = torch.arange(24.0).double().sin().view(2, 4, 3)
    assert_continuous(lambda x: SKDInstanceLoss(x, mode)(student, teacher), at=temperature)
    assert_continuous(lambda x: direction_distance(student, teacher, x, mode), at=tikhonov, step=1e-7)


def test_the_instance_term_of_the_paper_is_kd_without_the_squared_temperature():
    inputs = logits(6)
    torch.testing.assert_close(SKDInstanceLoss(4.0)(**inputs), KDLoss(4.0)(**inputs) / 16)


def test_a_great_tikhonov_leaves_the_plain_length_of_the_rows():
    student, teacher = torch.randn(2, 4, 3, dtype=torch.float64)
    grams = (torch.nn.functional.normalize(x, dim=1) for x in (student, teacher))
    first, second = (g @ g.T for g in grams)
    expected = (first - second).norm(dim=1).mean() / 1e3
    torch.testing.assert_close(direction_distance(student, teacher, tikhonov=1e6), expected, rtol=1e-5, atol=0)


def test_refusals():
    assert refusal(lambda: SKDInstanceLoss(0.0)) == "`temperature` must be > 0, got 0.0"
    assert refusal(lambda: SKDInstanceLoss(mode="cod")) == "`mode` must be 'paper' or 'code', got 'cod'"
    assert refusal(lambda: SKDDirectionLoss(0.0)) == "`tikhonov` must be > 0, got 0.0"
    assert refusal(lambda: SKDDirectionLoss(mode="cod")) == "`mode` must be 'paper' or 'code', got 'cod'"


def test_a_dead_sample_gives_moderate_gradients():
    student = torch.randn(4, 3)
    student[1] = 0
    SKDDirectionLoss()(student.requires_grad_(), torch.randn(4, 3)).backward()
    assert student.grad.abs().max() < 1e3
