"""PKTLoss against loops over pairs of samples."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import PKTLoss, probabilistic_transfer

from .cases import Case
from .derivations import refusal


def features(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 2), "teacher": torch.randn(batch, 5)}


def alike(batch: int) -> dict:
    return {"student": torch.randn(batch, 3), "teacher": torch.randn(batch, 3)}


CASES = [
    Case(name="PKTLoss", loss=PKTLoss, inputs=features, scale_invariant=True),
    Case(name="PKTLoss-equal", loss=PKTLoss, inputs=alike, zero_at_equality=True),
    Case(name="PKTLoss-code", loss=lambda: PKTLoss(mode="code"), inputs=features, scale_invariant=True),
]


def neighbours(rows: list[list[float]], mode: str) -> list[list[float]]:
    def kernel(a: list[float], b: list[float]) -> float:
        product = sum(x * y for x, y in zip(a, b, strict=True))
        return (product / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(x * x for x in b)) + 1) / 2

    result = []
    for i, a in enumerate(rows):
        row = [kernel(a, b) if mode == "code" or i != j else 0.0 for j, b in enumerate(rows)]
        result.append([value / sum(row) for value in row])
    return result


def slow(student: list[list[float]], teacher: list[list[float]], mode: str, eps: float) -> float:
    total = 0.0
    for p, q in zip(neighbours(teacher, mode), neighbours(student, mode), strict=True):
        total += sum(a * math.log((a + eps) / (b + eps)) for a, b in zip(p, q, strict=True))
    return total / len(student) / (len(student) if mode == "code" else 1)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(batch=st.integers(3, 5), sizes=st.tuples(st.integers(2, 4), st.integers(2, 4)), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(mode: str, batch: int, sizes: tuple[int, int], seed: int):
    torch.manual_seed(seed)
    student, teacher = (torch.randn(batch, size, dtype=torch.float64) for size in sizes)
    expected = slow(student.tolist(), teacher.tolist(), mode, eps=1e-7)
    assert PKTLoss(mode=mode)(student, teacher).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_gradient_is_that_of_finite_differences(mode: str):
    student, teacher = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: PKTLoss(mode=mode)(s, teacher), student.requires_grad_())


@given(eps=st.floats(1e-7, 1))
def test_is_continuous_in_eps(eps: float):
    student, teacher = torch.arange(24.0).double().sin().view(2, 4, 3)
    near, value = (probabilistic_transfer(student, teacher, e) for e in (eps * (1 + 1e-6), eps))
    assert near.item() == pytest.approx(value.item(), abs=1e-5)


def test_samples_in_opposite_directions_give_finite_gradients():
    """Their kernel is 0, so the student gives the teacher's neighbour probability 0."""
    student = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    value = PKTLoss()(student, torch.ones(3, 2))
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


def test_a_kernel_rounded_to_less_than_zero_is_zero():
    """Of two opposite samples, whose only neighbour is each other: a cosine of −1.0000001 happens."""
    student = torch.randn(200, 1, 7)
    pairs = torch.cat([student, -student], dim=1)
    unit = torch.nn.functional.normalize(pairs, dim=2)
    assert (torch.bmm(unit, unit.mT) < -1).any()
    assert all(probabilistic_transfer(pair, torch.ones(2, 3)).isfinite() for pair in pairs)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_a_lone_sample_has_no_neighbours(mode: str):
    assert PKTLoss(mode=mode)(torch.randn(1, 3), torch.randn(1, 4)).item() == pytest.approx(0, abs=1e-6)


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: PKTLoss(mode="cod")) == "`mode` must be 'paper' or 'code', got 'cod'"
    assert refusal(lambda: PKTLoss(eps=0.0)) == "`eps` must be > 0, got 0.0"


def test_a_dead_sample_gives_moderate_gradients():
    student = torch.randn(4, 3)
    student[1] = 0
    PKTLoss()(student.requires_grad_(), torch.randn(4, 3)).backward()
    assert student.grad.abs().max() < 1e3
