"""RKDLoss against loops over pairs and triplets of samples."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import RKDLoss, angle_relation, distance_relation

from .cases import Case
from .derivations import refusal


def features(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 2), "teacher": torch.randn(batch, 5)}


def alike(batch: int) -> dict:
    return {"student": torch.randn(batch, 3), "teacher": torch.randn(batch, 3)}


CASES = [
    Case(name="RKDLoss", loss=RKDLoss, inputs=features, scale_invariant=True),
    Case(name="RKDLoss-equal", loss=lambda: RKDLoss(1.0, 2.0), inputs=alike, zero_at_equality=True),
]


def huber(x: float) -> float:
    return x * x / 2 if abs(x) < 1 else abs(x) - 0.5


def norm(a: list[float]) -> float:
    return math.sqrt(sum(x * x for x in a))


def minus(a: list[float], b: list[float]) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]


def distances(rows: list[list[float]]) -> list[float]:
    plain = [norm(minus(a, b)) for a in rows for b in rows]
    mean = sum(plain) / (len(rows) * (len(rows) - 1))
    return [distance / mean for distance in plain]


def angles(rows: list[list[float]]) -> list[float]:
    found = []
    for b in rows:
        for a in rows:
            for c in rows:
                first, second = minus(a, b), minus(c, b)
                product = sum(x * y for x, y in zip(first, second, strict=True))
                size = norm(first) * norm(second)
                found.append(product / size if size else 0.0)
    return found


def slow(student: list, teacher: list, relation) -> float:
    ours, theirs = relation(student), relation(teacher)
    return sum(huber(a - b) for a, b in zip(ours, theirs, strict=True)) / len(ours)


@given(batch=st.integers(2, 5), sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(batch: int, sizes: tuple[int, int], seed: int):
    torch.manual_seed(seed)
    student, teacher = (torch.randn(batch, size, dtype=torch.float64) for size in sizes)
    lists = student.tolist(), teacher.tolist()
    expected = 3.0 * slow(*lists, distances) + 7.0 * slow(*lists, angles)
    assert RKDLoss(3.0, 7.0)(student, teacher).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: RKDLoss()(s, teacher), student.requires_grad_())


@given(weights=st.tuples(st.floats(0, 50), st.floats(0, 50)))
def test_is_continuous_in_both_weights(weights: tuple[float, float]):
    student, teacher = torch.arange(24.0).double().sin().view(2, 4, 3)
    near = RKDLoss(*(w + 1e-6 for w in weights))(student, teacher)
    assert near.item() == pytest.approx(RKDLoss(*weights)(student, teacher).item(), abs=1e-5)


def test_a_weight_of_zero_leaves_the_other_relation():
    student, teacher = torch.randn(2, 5, 3)
    torch.testing.assert_close(RKDLoss(2.0, 0.0)(student, teacher), 2 * distance_relation(student, teacher))
    torch.testing.assert_close(RKDLoss(0.0, 2.0)(student, teacher), 2 * angle_relation(student, teacher))


@pytest.mark.parametrize("at_a_time", [1, 80])
def test_a_few_vertices_at_a_time_are_all_vertices(at_a_time: int):
    """Five samples with at most eight values: 1 and 2 vertices in a step."""
    student, teacher = torch.randn(5, 8, requires_grad=True), torch.randn(5, 3)
    whole, parts = angle_relation(student, teacher), angle_relation(student, teacher, at_a_time)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(*(torch.autograd.grad(value, student)[0] for value in (parts, whole)))


def test_coinciding_samples_give_moderate_gradients():
    student = torch.randn(4, 3)
    student[1] = student[0]
    value = RKDLoss()(student.requires_grad_(), torch.randn(4, 3))
    value.backward()
    assert value.isfinite()
    assert student.grad.abs().max() < 1e3


def test_a_lone_sample_has_no_relations():
    assert RKDLoss()(torch.randn(1, 3), torch.randn(1, 4)).item() == 0


def test_turning_and_moving_all_samples_changes_nothing():
    student, teacher = torch.randn(2, 5, 3, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    torch.testing.assert_close(RKDLoss()(student @ turn + 7, teacher), RKDLoss()(student, teacher))


def test_negative_weights_are_refused():
    assert refusal(lambda: RKDLoss(-1.0)) == "`distance_weight` must be >= 0, got -1.0"
    assert refusal(lambda: RKDLoss(1.0, -2.0)) == "`angle_weight` must be >= 0, got -2.0"
