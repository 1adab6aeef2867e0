"""OFDLoss against loops over samples, channels and positions; its margins against numerical integration."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from distill_core.losses import OFDLoss, negative_margin, partial_distance

from .cases import Case
from .derivations import refusal


def margins() -> list[Tensor]:
    return [torch.tensor([-0.5, -0.1, -1.0, 0.0, -0.3]), torch.tensor([-0.2, -0.4])]


def levels(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 4, 2, 2)],
        "teacher": [torch.randn(batch, 5, 4, 4), torch.randn(batch, 2, 4, 4)],
    }


CASES = [
    Case(name="OFDLoss", loss=lambda: OFDLoss(margins()), inputs=levels),
    Case(name="OFDLoss-code", loss=lambda: OFDLoss(margins(), [3, 4], mode="code"), inputs=levels),
]


def slow(student: Tensor, teacher: Tensor, margin: Tensor) -> float:
    total = 0.0
    batch, channels, height, width = teacher.shape
    for n in range(batch):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    s, t = student[n, c, y, x].item(), max(teacher[n, c, y, x].item(), margin[c].item())
                    total += 0.0 if s <= t <= 0 else (s - t) ** 2
    return total / batch


SHAPES = st.tuples(*[st.integers(1, 3)] * 4).filter(lambda shape: shape[1] != shape[2])  # else refused: layout unknown


@given(shape=SHAPES, seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(shape: tuple[int, ...], seed: int):
    torch.manual_seed(seed)
    student, teacher = torch.randn(2, *shape, dtype=torch.float64)
    margin = -torch.rand(shape[1], dtype=torch.float64)
    value = partial_distance(student, teacher, margin).mean().item()
    assert value == pytest.approx(slow(student, teacher, margin), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_levels_add_up(mode: str):
    loss, inputs = OFDLoss(margins(), mode=mode), levels(4)
    values = [
        partial_distance(loss.regressors[i](s, like=t), t, margins()[i]).mean()
        for i, (s, t) in enumerate(zip(*inputs.values(), strict=True))
    ]
    torch.testing.assert_close(loss(**inputs), values[0] / (2 if mode == "code" else 1) + values[1])


def test_the_regressor_is_a_convolution_and_a_batch_norm():
    loss, student = OFDLoss([torch.zeros(5)], [3]).double(), torch.randn(4, 3, 2, 2, dtype=torch.float64)
    mapped = torch.einsum("oi,bihw->bohw", loss.regressors[0].weight[:, :, 0, 0], student)
    variance, mean = torch.var_mean(mapped, (0, 2, 3), keepdim=True, correction=0)
    teacher = (mapped - mean) / (variance + 1e-5).sqrt() + 2
    assert loss([student], [teacher.abs()]).item() == pytest.approx(
        slow(teacher - 2, teacher.abs(), torch.zeros(5)), rel=1e-9
    )


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value[0].double() for name, value in levels(2).items()}
    loss = OFDLoss(margins()[:1], [3]).double().eval()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())


@given(shift=st.floats(-3, 3), scale=st.floats(-3, 3).filter(lambda x: abs(x) > 0.1))
def test_margin_is_the_mean_of_what_is_below_zero(shift: float, scale: float):
    batch_norm = nn.BatchNorm2d(1).double()
    nn.init.constant_(batch_norm.weight, scale)
    nn.init.constant_(batch_norm.bias, shift)
    lowest = shift - 12 * abs(scale)
    points = [lowest * (i + 0.5) / 20000 for i in range(20000)] if lowest < 0 else [0.0]
    densities = [math.exp(-(((x - shift) / scale) ** 2) / 2) for x in points]
    expected = sum(x * d for x, d in zip(points, densities, strict=True)) / sum(densities)
    assert negative_margin(batch_norm).item() == pytest.approx(expected, rel=1e-4)


def test_margins_of_channels_that_are_never_or_always_below_zero():
    batch_norm = nn.BatchNorm2d(4)
    batch_norm.weight.data = torch.tensor([1.0, 1.0, 0.0, 0.0])
    batch_norm.bias.data = torch.tensor([1e4, -1e4, 2.0, -2.0])
    margin = negative_margin(batch_norm)
    torch.testing.assert_close(margin, torch.tensor([-1e-4, -1e4, 0.0, -2.0]), rtol=1e-2, atol=1e-6)


def test_is_continuous_in_the_margin():
    student, teacher = torch.randn(2, 4, 1, 3, 3, dtype=torch.float64)
    values = [partial_distance(student, teacher, torch.tensor([m])).sum() for m in (-0.3, -0.3 + 1e-7, 0.0, -1e-7)]
    torch.testing.assert_close(values[0], values[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(values[2], values[3], rtol=0, atol=1e-4)


def test_refusals():
    loss = OFDLoss(margins())
    feature = torch.zeros(1, 5, 2, 2)
    assert refusal(lambda: loss([feature], [feature])) == "`margins` has 2 levels, got 1 pairs of features"
    assert refusal(lambda: OFDLoss(margins(), mode="cod")) == "`mode` must be 'paper' or 'code', got 'cod'"
