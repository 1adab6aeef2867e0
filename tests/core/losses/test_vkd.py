"""VKDLoss against loops over samples and features; its normalisers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import VKDLoss, normalised_teacher

from .cases import Case
from .derivations import assert_continuous, refusal


def vectors(batch: int) -> dict:
    return {"student": torch.randn(batch, 3), "teacher": 2 * torch.randn(batch, 5) + 1}


def tokens(batch: int) -> dict:
    return {"student": torch.randn(batch, 4, 6), "teacher": 2 * torch.randn(batch, 4, 5) + 1}


CASES = [
    Case(name="VKDLoss", loss=VKDLoss, inputs=vectors),
    Case(name="VKDLoss-whiten", loss=lambda: VKDLoss("whiten"), inputs=tokens),
    Case(name="VKDLoss-batch", loss=lambda: VKDLoss("batch"), inputs=tokens),
    Case(name="VKDLoss-none", loss=lambda: VKDLoss("none", 3, 5), inputs=vectors),
]


def layer_normalised(values: list[float], eps: float) -> list[float]:
    mean = sum(values) / len(values)
    variance = sum((x - mean) ** 2 for x in values) / len(values)
    return [(x - mean) / math.sqrt(variance + eps) for x in values]


def slow(student: Tensor, teacher: Tensor, matrix: Tensor, normaliser: str, eps: float) -> float:
    total, count = 0.0, 0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        t = layer_normalised(t, eps) if normaliser == "layer" else t
        for row, expected in zip(matrix.tolist(), t, strict=True):
            x = abs(sum(w * f for w, f in zip(row, s, strict=True)) - expected)
            total += x * x / 2 if x < 1 else x - 0.5
            count += 1
    return total / count


@pytest.mark.parametrize("normaliser", ["layer", "none"])
@given(shape=st.tuples(*[st.integers(1, 5)] * 3), eps=st.floats(1e-6, 1), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(normaliser: str, shape: tuple[int, ...], eps: float, seed: int):
    batch, ours, theirs = shape
    torch.manual_seed(seed)
    student = torch.randn(batch, ours, dtype=torch.float64)
    teacher = 2 * torch.randn(batch, theirs, dtype=torch.float64)
    loss = VKDLoss(normaliser, ours, theirs, eps).double()
    expected = slow(student, teacher, loss.projection.matrix(), normaliser, eps)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-9)


@given(shape=st.tuples(st.integers(2, 5), *[st.integers(1, 4)] * 3), seed=st.integers(0, 1000))
def test_batch_standardises_each_feature_of_both(shape: tuple[int, ...], seed: int):
    batch, positions, ours, theirs = shape
    torch.manual_seed(seed)
    student = torch.randn(batch, positions, ours, dtype=torch.float64)
    teacher = 2 * torch.randn(batch, positions, theirs, dtype=torch.float64) + 1
    loss = VKDLoss("batch", ours, theirs, eps=1e-12).double()
    rows = [(student @ loss.projection.matrix().T).flatten(0, 1), teacher.flatten(0, 1)]
    standardised = [(x - x.mean(0)) / x.std(0) for x in rows]
    expected = torch.nn.functional.smooth_l1_loss(*standardised)
    torch.testing.assert_close(loss(student, teacher), expected, rtol=1e-6, atol=1e-9)


def test_one_row_and_a_constant_feature_are_standardised_to_0():
    assert not VKDLoss("batch")(torch.randn(1, 3), torch.randn(1, 5)).item()
    assert not normalised_teacher(torch.full((4, 2), 3.0), "batch").any()


@pytest.mark.parametrize("normaliser", ["layer", "whiten", "batch"])
def test_gradient_is_that_of_finite_differences(normaliser: str):
    inputs = {name: value.double() for name, value in vectors(4).items()}
    loss = VKDLoss(normaliser, 3, 5).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())


def test_whitened_features_are_uncorrelated_and_of_variance_one():
    teacher = torch.randn(200, 4, dtype=torch.float64) @ torch.randn(4, 4, dtype=torch.float64) + 3
    white = normalised_teacher(teacher, "whiten", eps=1e-9)
    torch.testing.assert_close(white.mean(0), torch.zeros(4).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(white.T @ white / 200, torch.eye(4).double(), rtol=0, atol=1e-6)


def test_whitening_turns_nothing():
    """C^(−1/2) is the symmetric root: whitening what is white already leaves it as it is."""
    white = normalised_teacher(torch.randn(50, 4, dtype=torch.float64), "whiten", eps=1e-9)
    torch.testing.assert_close(normalised_teacher(white, "whiten", eps=1e-9), white, rtol=0, atol=1e-6)


def test_whitening_fewer_samples_than_features_stays_finite():
    white = normalised_teacher(torch.randn(3, 10), "whiten")
    assert white.isfinite().all()
    assert white.abs().max() < 3


def test_tokens_are_whitened_together():
    teacher = torch.randn(3, 4, 5)
    rows = normalised_teacher(teacher.flatten(0, 1), "whiten")
    torch.testing.assert_close(normalised_teacher(teacher, "whiten"), rows.view(3, 4, 5))


@pytest.mark.parametrize("normaliser", ["layer", "whiten", "batch"])
@given(eps=st.floats(1e-3, 1))
def test_is_continuous_in_eps(normaliser: str, eps: float):
    torch.manual_seed(0)
    inputs = {name: value.double() for name, value in vectors(4).items()}
    loss = VKDLoss(normaliser, 3, 5).double()

    def value(at: float) -> Tensor:
        loss.eps = at
        return loss(**inputs)

    assert_continuous(value, eps)


def test_refusals():
    assert refusal(lambda: VKDLoss("map")) == "`normaliser` must be 'layer' or 'whiten' or 'batch' or 'none', got 'map'"
    assert refusal(lambda: VKDLoss(eps=0.0)) == "`eps` must be > 0, got 0.0"
