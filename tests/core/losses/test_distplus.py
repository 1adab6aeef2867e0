"""DISTPlusLoss against loops over samples, channels and positions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import DISTLoss, DISTPlusLoss, feature_correlations

from .cases import Case
from .derivations import assert_continuous, refusal


def tensors(batch: int) -> dict:
    return {name: [3 * torch.randn(batch, 5), torch.randn(batch, 3, 4, 4)] for name in ("student", "teacher")}


def two_sizes(batch: int) -> dict:
    sizes = {"student": (6, 2), "teacher": (3, 4)}
    return {name: [3 * torch.randn(batch, 5), torch.randn(batch, 3, *size)] for name, size in sizes.items()}


CASES = [
    Case(name="DISTPlusLoss", loss=DISTPlusLoss, inputs=tensors, zero_at_equality=True),
    Case(name="DISTPlusLoss-sizes", loss=lambda: DISTPlusLoss(2.0, 2.0, 0.5, 3.0, 4.0), inputs=two_sizes),
]


def slow_pearson(a: list[float], b: list[float]) -> float:
    centred = [[x - sum(values) / len(values) for x in values] for values in (a, b)]
    norms = [math.sqrt(sum(x * x for x in values)) for values in centred]
    if min(norms) <= 1e-7:
        return 0.0
    return sum(x * y for x, y in zip(*centred, strict=True)) / norms[0] / norms[1]


def slow(student: list, teacher: list) -> tuple[float, float]:
    """Of lists (batch, channels, positions)."""
    over_positions, over_channels = [], []
    for ours, theirs in zip(student, teacher, strict=True):
        over_positions += [slow_pearson(a, b) for a, b in zip(ours, theirs, strict=True)]
        columns = zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True)
        over_channels += [slow_pearson(a, b) for a, b in columns]
    channels, positions = (1 - sum(found) / len(found) for found in (over_positions, over_channels))
    return channels, positions


@given(shape=st.tuples(*[st.integers(1, 3)] * 4), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(shape: tuple[int, ...], seed: int):
    torch.manual_seed(seed)
    student, teacher = torch.randn(2, *shape, dtype=torch.float64)
    logits = 2 * torch.randn(2, shape[0], 4, dtype=torch.float64)
    channels, positions = slow(student.flatten(2).tolist(), teacher.flatten(2).tolist())
    expected = DISTLoss(2.0, 3.0, 1.5)(*logits).item() + 5 * channels + 7 * positions
    value = DISTPlusLoss(2.0, 3.0, 5.0, 7.0, 1.5)([logits[0], student], [logits[1], teacher])
    assert value.item() == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_gradient_is_that_of_finite_differences():
    inputs = {name: [x.double() for x in values] for name, values in tensors(2).items()}
    student = tuple(x.requires_grad_() for x in inputs["student"])
    assert torch.autograd.gradcheck(lambda *s: DISTPlusLoss()(s, inputs["teacher"]), student)


@given(iota=st.floats(0, 5), kappa=st.floats(0, 5))
def test_is_continuous_in_the_weights_of_the_feature(iota: float, kappa: float):
    torch.manual_seed(0)
    inputs = {name: [x.double() for x in values] for name, values in tensors(2).items()}
    assert_continuous(lambda x: DISTPlusLoss(iota=x, kappa=kappa)(**inputs), at=iota)
    assert_continuous(lambda x: DISTPlusLoss(iota=iota, kappa=x)(**inputs), at=kappa)


def test_without_the_feature_it_is_dist():
    inputs = tensors(4)
    plain = DISTLoss(2.0, 3.0, 4.0)(inputs["student"][0], inputs["teacher"][0])
    torch.testing.assert_close(DISTPlusLoss(2.0, 3.0, 0.0, 0.0, 4.0)(**inputs), plain)


def test_both_terms_of_the_feature_draw_the_student_to_the_teacher():
    """Where an implementation has the sign of one term wrong: 0 when they agree, 2 when they are opposite."""
    feature = torch.randn(2, 3, 4, 4)
    for loss in feature_correlations(feature, 2 * feature):
        torch.testing.assert_close(loss, torch.zeros(2), atol=1e-5, rtol=0)
    for loss in feature_correlations(feature, -feature):
        torch.testing.assert_close(loss, torch.full((2,), 2.0))


def test_refusals():
    assert refusal(lambda: DISTPlusLoss(iota=-1.0)) == "`iota` must be >= 0, got -1.0"
    assert refusal(lambda: DISTPlusLoss(kappa=-1.0)) == "`kappa` must be >= 0, got -1.0"
    expected = "`student` (2, 3, 4, 4) and `teacher` (2, 5, 4, 4) must have the same shape"
    assert refusal(lambda: feature_correlations(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4, 4))) == expected
