"""ICKDLoss against loops over samples and channels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import ICKDLoss, channel_correlation

from .cases import Case
from .derivations import refusal


def maps(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 5, 6, 3)}


CASES = [
    Case(name="ICKDLoss", loss=ICKDLoss, inputs=maps),
    Case(name="ICKDLoss-code", loss=lambda: ICKDLoss(3, 5, mode="code"), inputs=maps),
]


def correlations(rows: list[list[float]]) -> list[list[float]]:
    result = []
    for a in rows:
        row = [sum(x * y for x, y in zip(a, b, strict=True)) for b in rows]
        size = math.sqrt(sum(x * x for x in row))
        result.append([x / size for x in row])
    return result


@given(batch=st.integers(1, 3), channels=st.integers(1, 4), sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_equals_the_slow_derivation(batch: int, channels: int, sizes: tuple[int, int]):
    """Of the embedded feature, which is tested with its layer."""
    loss = ICKDLoss(channels, channels).double().eval()
    student, teacher = (torch.randn(batch, channels, size, 1, dtype=torch.float64) for size in sizes)
    embedded = loss.embedding(student)
    total = 0.0
    for ours, theirs in zip(embedded.flatten(2).tolist(), teacher.flatten(2).tolist(), strict=True):
        for row, other in zip(correlations(ours), correlations(theirs), strict=True):
            total += sum((a - b) ** 2 for a, b in zip(row, other, strict=True))
    assert loss(student, teacher).item() == pytest.approx(total / batch / channels**2, rel=1e-9, abs=1e-12)
    loss.mode = "code"
    assert loss(student, teacher).item() == pytest.approx(total / batch / channels, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_gradient_is_that_of_finite_differences(mode: str):
    inputs = {name: value[:, :, :2, :2].double() for name, value in maps(2).items()}
    loss = ICKDLoss(3, 5, mode).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())


def test_channels_that_are_multiples_of_each_other_are_alike():
    feature = torch.randn(1, 1, 4, 4) * torch.tensor([1.0, -2.0, 3.0])[:, None, None]
    direction = torch.tensor([1.0, -2.0, 3.0]) / math.sqrt(14)
    expected = torch.stack([direction, -direction, direction])[None]
    torch.testing.assert_close(channel_correlation(feature), expected)


def test_where_things_are_does_not_count():
    inputs = maps(4)
    order = torch.randperm(16)
    moved = inputs["student"].flatten(2)[:, :, order].view(4, 3, 4, 4)
    loss = ICKDLoss()
    torch.testing.assert_close(loss(moved, inputs["teacher"]), loss(**inputs))


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: ICKDLoss(mode="cod")) == "`mode` must be 'paper' or 'code' or 'torchdistill', got 'cod'"
