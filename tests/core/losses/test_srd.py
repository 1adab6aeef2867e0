"""SRDLoss against loops over samples and channels, its batch normalisations included."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import SRDLoss, log_power_distance

from .cases import Case
from .derivations import assert_continuous, refusal


def maps(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 5, 2, 2)}


def vectors(batch: int) -> dict:
    return {"student": torch.randn(batch, 3), "teacher": torch.randn(batch, 5)}


CASES = [
    Case(name="SRDLoss", loss=SRDLoss, inputs=maps),
    Case(name="SRDLoss-given", loss=lambda: SRDLoss(2.0, 1e-6, 3, 5), inputs=vectors),
]


def normalised(rows: list[list[float]]) -> list[list[float]]:
    columns = list(zip(*rows, strict=True))
    means = [sum(column) / len(column) for column in columns]
    spreads = [sum((x - m) ** 2 for x in column) / len(column) for column, m in zip(columns, means, strict=True)]
    return [[(x - m) / math.sqrt(v + 1e-4) for x, m, v in zip(row, means, spreads, strict=True)] for row in rows]


def slow(student: list, teacher: list, weight: list, exponent: float, eps: float) -> float:
    mapped = [[sum(w * x for w, x in zip(line, row, strict=True)) for line in weight] for row in student]
    total = 0.0
    for ours, theirs in zip(normalised(mapped), normalised(teacher), strict=True):
        total += sum(abs(a - b) ** exponent for a, b in zip(ours, theirs, strict=True))
    return math.log(total + eps)


@given(batch=st.integers(2, 5), sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)), exponent=st.floats(1, 6))
def test_equals_the_slow_derivation(batch: int, sizes: tuple[int, int], exponent: float):
    loss = SRDLoss(exponent, 1e-6, *sizes).double()
    student, teacher = (torch.randn(batch, size, dtype=torch.float64) for size in sizes)
    weight = loss.projector.weight[:, :, 0, 0].tolist()
    expected = slow(student.tolist(), teacher.tolist(), weight, exponent, 1e-6)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value.double() for name, value in vectors(3).items()}
    loss = SRDLoss(student_channels=3, teacher_channels=5).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())


@given(exponent=st.floats(1, 6), eps=st.floats(1e-8, 1))
def test_is_continuous_in_exponent_and_eps(exponent: float, eps: float):
    student, teacher = torch.arange(24.0).double().sin().view(2, 4, 3)
    assert_continuous(lambda x: log_power_distance(student, teacher, x, eps), at=exponent)
    assert_continuous(lambda x: log_power_distance(student, teacher, exponent, x), at=eps)


def test_maps_are_averaged_over_their_positions():
    inputs, loss = maps(6), SRDLoss()
    means = {name: value.mean((2, 3)) for name, value in inputs.items()}
    torch.testing.assert_close(loss(**inputs), loss(**means))


def test_equal_features_give_a_finite_loss_and_no_gradient():
    student = torch.randn(4, 3, requires_grad=True)
    value = log_power_distance(student, student.detach())
    value.backward()
    assert value.item() == pytest.approx(math.log(1e-8))
    assert not student.grad.any()


def test_refusals():
    assert refusal(lambda: SRDLoss(0.5)) == "`exponent` must be >= 1, got 0.5"
    assert refusal(lambda: SRDLoss(eps=0.0)) == "`eps` must be > 0, got 0.0"
