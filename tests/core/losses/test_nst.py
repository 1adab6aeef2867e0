"""NSTLoss against loops over samples, channels and positions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import NSTLoss, selectivity_discrepancy

from .cases import Case
from .derivations import assert_continuous, refusal


def maps(batch: int) -> dict:
    return {"student": [torch.randn(batch, 3, 4, 4)], "teacher": [torch.randn(batch, 3, 4, 4)]}


def two_layers(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 6, 2), torch.randn(batch, 2, 2, 2)],
        "teacher": [torch.randn(batch, 5, 3, 4), torch.randn(batch, 2, 2, 2)],
    }


CASES = [
    Case(name="NSTLoss", loss=NSTLoss, inputs=maps, zero_at_equality=True, scale_invariant=True),
    Case(name="NSTLoss-layers", loss=NSTLoss, inputs=two_layers, scale_invariant=True),
    Case(name="NSTLoss-kernel", loss=lambda: NSTLoss(3, 0.5), inputs=maps, zero_at_equality=True, scale_invariant=True),
]


def patterns(feature: Tensor) -> list[list[float]]:
    rows = [channel.flatten().tolist() for channel in feature]
    return [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]


def mean_kernel(ones: list, others: list, degree: int, offset: float) -> float:
    total = 0.0
    for x in ones:
        for y in others:
            total += (sum(a * b for a, b in zip(x, y, strict=True)) + offset) ** degree
    return total / len(ones) / len(others)


def slow(student: Tensor, teacher: Tensor, degree: int, offset: float) -> float:
    total = 0.0
    for one, other in zip(student, teacher, strict=True):
        s, t = patterns(one), patterns(other)
        total += mean_kernel(s, s, degree, offset) + mean_kernel(t, t, degree, offset)
        total -= 2 * mean_kernel(s, t, degree, offset)
    return total / len(student)


@given(shape=st.tuples(*[st.integers(1, 3)] * 5), degree=st.integers(1, 3), offset=st.floats(0, 2), seed=st.integers(0))
def test_equals_the_slow_derivation(shape: tuple[int, ...], degree: int, offset: float, seed: int):
    batch, ours, theirs, height, width = shape
    torch.manual_seed(seed % 2**31)
    student = torch.randn(batch, ours, height, width, dtype=torch.float64)
    teacher = torch.randn(batch, theirs, height, width, dtype=torch.float64)
    value = NSTLoss(degree, offset)([student], [teacher]).item()
    assert value == pytest.approx(slow(student, teacher, degree, offset), rel=1e-9, abs=1e-9)


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 2, 2, dtype=torch.float64), torch.randn(2, 4, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: NSTLoss(2, 0.1)(s, teacher), student.requires_grad_())


@given(offset=st.floats(0, 3))
def test_is_continuous_in_the_offset(offset: float):
    inputs = {name: [x.double() for x in value] for name, value in maps(2).items()}
    assert_continuous(lambda c: NSTLoss(2, c)(**inputs), offset)


def test_the_number_of_channels_and_their_order_are_irrelevant():
    student, teacher = (torch.randn(2, 3, 4, 4) for _ in range(2))
    mixed = teacher[:, [2, 0, 1]].repeat(1, 2, 1, 1)
    torch.testing.assert_close(selectivity_discrepancy(student, mixed), selectivity_discrepancy(student, teacher))
    torch.testing.assert_close(selectivity_discrepancy(teacher, mixed), torch.zeros(2), rtol=0, atol=1e-6)


def test_layers_add_up():
    inputs = two_layers(4)
    each = [NSTLoss()(inputs["student"][i], inputs["teacher"][i]) for i in range(2)]
    torch.testing.assert_close(NSTLoss()(**inputs), each[0] + each[1])


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: NSTLoss(degree=0)) == "`degree` must be >= 1, got 0"
    assert refusal(lambda: NSTLoss(offset=-0.5)) == "`offset` must be >= 0, got -0.5"
