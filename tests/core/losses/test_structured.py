"""PixelwiseLoss and PairwiseLoss against loops over samples, positions and nodes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import PairwiseLoss, PixelwiseLoss, pair_distance, pixel_divergence

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def logits(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 5, 2, 3), "teacher": 3 * torch.randn(batch, 5, 2, 3)}


def features(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 3, 4, 4)}


def two_sizes(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 6, 3), "teacher": torch.randn(batch, 5, 3, 5)}


CASES = [
    Case(name="PixelwiseLoss", loss=PixelwiseLoss, inputs=logits, zero_at_equality=True, at_temperature=PixelwiseLoss),
    Case(name="PairwiseLoss", loss=PairwiseLoss, inputs=features, zero_at_equality=True, scale_invariant=True),
    Case(
        name="PairwiseLoss-every",
        loss=lambda: PairwiseLoss(0.0),
        inputs=two_sizes,
        scale_invariant=True,
    ),
    Case(
        name="PairwiseLoss-mean",
        loss=lambda: PairwiseLoss(pooling="mean"),
        inputs=features,
        zero_at_equality=True,
        scale_invariant=True,
    ),
]


def slow_pixels(student: Tensor, teacher: Tensor) -> float:
    rows = [feature.movedim(1, -1).reshape(-1, feature.shape[1]).tolist() for feature in (student, teacher)]
    return sum(kl(softmax(t), softmax(s)) for s, t in zip(*rows, strict=True)) / len(rows[0])


def nodes(feature: Tensor, patch: tuple[int, int], pooling: str) -> list[list[float]]:
    height, width = feature.shape[1:]
    found = []
    for y in range(0, height, patch[0]):
        for x in range(0, width, patch[1]):
            parts = [channel[y : y + patch[0], x : x + patch[1]].flatten().tolist() for channel in feature]
            found.append([max(part) if pooling == "max" else sum(part) / len(part) for part in parts])
    return found


def cosine(one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def slow_pairs(student: Tensor, teacher: Tensor, scale: float, pooling: str) -> float:
    patch = tuple(max(int(size * scale), 1) for size in student.shape[2:])
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        s, t = nodes(ours, patch, pooling), nodes(theirs, patch, pooling)
        squares = [(cosine(s[i], s[j]) - cosine(t[i], t[j])) ** 2 for i in range(len(s)) for j in range(len(s))]
        total += sum(squares) / len(squares)
    return total / len(student)


@given(shape=st.tuples(*[st.integers(1, 4)] * 4), seed=st.integers(0, 1000))
def test_pixels_equal_the_slow_derivation(shape: tuple[int, ...], seed: int):
    torch.manual_seed(seed)
    student, teacher = 3 * torch.randn(2, *shape, dtype=torch.float64)
    value = PixelwiseLoss()(student, teacher).item()
    assert value == pytest.approx(slow_pixels(student, teacher), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("pooling", ["max", "mean"])
@given(shape=st.tuples(*[st.integers(1, 4)] * 4), scale=st.floats(0, 1), seed=st.integers(0, 1000))
def test_pairs_equal_the_slow_derivation(pooling: str, shape: tuple[int, ...], scale: float, seed: int):
    torch.manual_seed(seed)
    student, teacher = torch.randn(2, *shape, dtype=torch.float64)
    value = PairwiseLoss(scale, pooling)(student, teacher).item()
    assert value == pytest.approx(slow_pairs(student, teacher, scale, pooling), rel=1e-9, abs=1e-12)


DIFFERENTIABLE = [PixelwiseLoss(2.0), PairwiseLoss(detach_norms=False), PairwiseLoss(0.0, "mean", detach_norms=False)]


@pytest.mark.parametrize("loss", DIFFERENTIABLE, ids=str)
def test_gradient_is_that_of_finite_differences(loss: torch.nn.Module):
    student, teacher = torch.randn(2, 2, 3, 4, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


@given(temperature=st.floats(0.5, 20))
def test_pixels_are_continuous_in_the_temperature(temperature: float):
    inputs = {name: value.double() for name, value in logits(2).items()}
    assert_continuous(lambda t: PixelwiseLoss(t)(**inputs), temperature)


def test_the_default_patch_is_a_quarter_of_the_map():
    student, teacher = features(2)["student"], features(2)["teacher"]
    quarters = [torch.nn.functional.max_pool2d(feature, 2) for feature in (student, teacher)]
    torch.testing.assert_close(pair_distance(student, teacher), pair_distance(*quarters, scale=0.0))


def test_one_value_for_each_position_and_each_sample():
    assert pixel_divergence(**logits(4)).shape == (4, 2, 3)
    assert pair_distance(**features(4)).shape == (4,)


def test_refusals():
    assert refusal(lambda: PixelwiseLoss(-1.0)) == "`temperature` must be > 0, got -1.0"
    assert refusal(lambda: PairwiseLoss(1.5)) == "`scale` must be >= 0 and <= 1, got 1.5"
    assert refusal(lambda: PairwiseLoss(pooling="avg")) == "`pooling` must be 'max' or 'mean', got 'avg'"
