"""ATLoss against loops over samples, channels and positions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import ATLoss, attention_transfer

from .cases import Case


def two_pairs(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 5, 2, 2)],
        "teacher": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 5, 2, 2)],
    }


CASES = [
    Case(name="ATLoss", loss=ATLoss, inputs=two_pairs, zero_at_equality=True, scale_invariant=True),
    Case(
        name="ATLoss-code", loss=lambda: ATLoss("code"), inputs=two_pairs, zero_at_equality=True, scale_invariant=True
    ),
    Case(
        name="ATLoss-sizes",
        loss=ATLoss,
        inputs=lambda batch: {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 7, 2, 2)},
        scale_invariant=True,
    ),
]


def slow_map(feature: Tensor) -> list[float]:
    channels, height, width = feature.shape
    values = [sum(feature[c, y, x].item() ** 2 for c in range(channels)) for y in range(height) for x in range(width)]
    norm = math.sqrt(sum(value**2 for value in values))
    return [value / norm for value in values]


def slow(student: Tensor, teacher: Tensor, mode: str) -> float:
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        squares = [(a - b) ** 2 for a, b in zip(slow_map(s), slow_map(t), strict=True)]
        total += math.sqrt(sum(squares)) if mode == "paper" else sum(squares) / len(squares)
    return total / len(student)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(shape=st.tuples(*[st.integers(1, 3)] * 5), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(mode: str, shape: tuple[int, ...], seed: int):
    batch, ours, theirs, height, width = shape
    torch.manual_seed(seed)
    student = torch.randn(batch, ours, height, width, dtype=torch.float64)
    teacher = torch.randn(batch, theirs, height, width, dtype=torch.float64)
    assert ATLoss(mode)([student], [teacher]).item() == pytest.approx(slow(student, teacher, mode), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_gradient_is_that_of_finite_differences(mode: str):
    student, teacher = torch.randn(2, 3, 2, 2, dtype=torch.float64), torch.randn(2, 4, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: ATLoss(mode)([s], [teacher]), student.requires_grad_())


def test_pairs_add_up():
    inputs = two_pairs(4)
    each = [attention_transfer(s, t) for s, t in zip(inputs["student"], inputs["teacher"], strict=True)]
    torch.testing.assert_close(ATLoss()(**inputs), each[0] + each[1])


def test_lists_of_two_lengths_are_refused():
    with pytest.raises(ValueError) as error:
        ATLoss()([torch.ones(1, 1, 2, 2)] * 2, [torch.ones(1, 1, 2, 2)])
    assert str(error.value) == "`student` has 2 features and `teacher` 1: give one of each per pair"


def test_invalid_hyper_parameters_are_refused():
    with pytest.raises(ValueError) as error:
        ATLoss("cod")
    assert str(error.value) == "`mode` must be 'paper' or 'code', got 'cod'"
