"""CATKDLoss against loops over samples, classes and cells."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import CATKDLoss, class_attention

from .cases import Case
from .derivations import refusal


def maps(batch: int) -> dict:
    return {"student": torch.randn(batch, 5, 4, 4), "teacher": torch.randn(batch, 5, 4, 4)}


def two_sizes(batch: int) -> dict:
    return {"student": torch.randn(batch, 5, 3, 2), "teacher": torch.randn(batch, 5, 6, 8)}


CASES = [
    Case(name="CATKDLoss", loss=CATKDLoss, inputs=maps, zero_at_equality=True, scale_invariant=True),
    Case(name="CATKDLoss-raw", loss=lambda: CATKDLoss(normalise=False), inputs=maps, zero_at_equality=True),
    Case(name="CATKDLoss-sizes", loss=lambda: CATKDLoss(3), inputs=two_sizes, scale_invariant=True),
]


def cells(channel: list[list[float]], resolution: int) -> list[float]:
    """The means of the parts of a map whose sides are multiples of the resolution."""
    tall, wide = len(channel) // resolution, len(channel[0]) // resolution
    return [
        sum(channel[y * tall + i][x * wide + j] for i in range(tall) for j in range(wide)) / (tall * wide)
        for y in range(resolution)
        for x in range(resolution)
    ]


def slow(student: Tensor, teacher: Tensor, resolution: int, normalise: bool) -> float:
    total, count = 0.0, 0
    for ours, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        for s, t in zip(ours, theirs, strict=True):
            s, t = cells(s, resolution), cells(t, resolution)
            if normalise:
                s, t = ([x / math.sqrt(sum(y * y for y in part)) for x in part] for part in (s, t))
            total += sum((a - b) ** 2 for a, b in zip(s, t, strict=True))
            count += len(s)
    return total / count


@given(
    shape=st.tuples(*[st.integers(1, 3)] * 4),
    resolution=st.integers(1, 3),
    normalise=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_slow_derivation(shape: tuple[int, ...], resolution: int, normalise: bool, seed: int):
    batch, classes, ours, theirs = shape
    torch.manual_seed(seed)
    student = torch.randn(batch, classes, ours * resolution, resolution, dtype=torch.float64)
    teacher = torch.randn(batch, classes, resolution, theirs * resolution, dtype=torch.float64)
    value = CATKDLoss(resolution, normalise=normalise)(student, teacher).item()
    assert value == pytest.approx(slow(student, teacher, resolution, normalise), rel=1e-9, abs=1e-12)


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value.double() for name, value in two_sizes(2).items()}
    assert torch.autograd.gradcheck(lambda s: CATKDLoss()(s, inputs["teacher"]), inputs["student"].requires_grad_())


def test_a_map_that_is_nowhere_active_stays_zero():
    teacher = torch.ones(1, 1, 2, 2)
    torch.testing.assert_close(class_attention(torch.zeros(1, 1, 2, 2), teacher), torch.tensor(0.25))


def test_refusals():
    assert refusal(lambda: CATKDLoss(0)) == "`resolution` must be >= 1, got 0"
    assert (
        refusal(lambda: CATKDLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, 4)))
        == "`student` (2, 3, 4) and `teacher` (2, 4, 4) must have the same shape"
    )
