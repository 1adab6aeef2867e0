"""WKDFLoss against loops over samples, channels and cells."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import WKDFLoss, gaussian_wasserstein

from .cases import Case
from .derivations import assert_continuous, refusal


def maps(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 5, 4, 4)}


CASES = [
    Case(name="WKDFLoss", loss=WKDFLoss, inputs=maps),
    Case(
        name="WKDFLoss-cells",
        loss=lambda: WKDFLoss(cells=2, student_channels=3, teacher_channels=5),
        inputs=lambda batch: {"student": torch.randn(batch, 3, 5, 3), "teacher": torch.randn(batch, 5, 2, 6)},
    ),
]


def gaussian(values: list[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((x - mean) ** 2 for x in values) / len(values) + 1e-5)


def slow(student: Tensor, teacher: Tensor, ratio: float, cells: int) -> float:
    """For sizes that are multiples of the number of cells."""
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        for s, t in zip(ours, theirs, strict=True):
            parts = [
                [cell.flatten().tolist() for row in channel.chunk(cells, 0) for cell in row.chunk(cells, 1)]
                for channel in (s, t)
            ]
            for one, other in zip(*parts, strict=True):
                (m, d), (n, e) = gaussian(one), gaussian(other)
                total += ratio * (m - n) ** 2 + (d - e) ** 2
    return total / len(student) / cells**2


@given(
    shape=st.tuples(*[st.integers(1, 3)] * 6),
    ratio=st.floats(0, 4),
    cells=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_equals_the_slow_derivation(shape: tuple[int, ...], ratio: float, cells: int, seed: int):
    batch, channels, *sizes = shape
    torch.manual_seed(seed)
    height, width, tall, wide = (size * cells for size in sizes)
    student = torch.randn(batch, channels, height, width, dtype=torch.float64)
    teacher = torch.randn(batch, channels, tall, wide, dtype=torch.float64)
    value = gaussian_wasserstein(student, teacher, ratio, cells).mean().item()
    assert value == pytest.approx(slow(student, teacher, ratio, cells), rel=1e-9, abs=1e-12)


@given(batch=st.integers(2, 4), seed=st.integers(0, 1000))
def test_the_projector_is_a_convolution_a_batch_norm_and_a_relu(batch: int, seed: int):
    torch.manual_seed(seed)
    loss = WKDFLoss(1.5, 2, 3, 5).double()
    inputs = {name: value.double() for name, value in maps(batch).items()}
    mapped = torch.einsum("oi,bihw->bohw", loss.projector.weight[:, :, 0, 0], inputs["student"])
    variance, mean = torch.var_mean(mapped, (0, 2, 3), keepdim=True, correction=0)
    projected = ((mapped - mean) / (variance + loss.projector.norm.eps).sqrt()).clamp(min=0)
    assert loss(**inputs).item() == pytest.approx(slow(projected, inputs["teacher"], 1.5, 2), rel=1e-9)


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value.double() for name, value in maps(2).items()}
    loss = WKDFLoss(2.0, 2, 3, 5).double().eval()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())


@given(ratio=st.floats(0, 4))
def test_is_continuous_in_the_ratio(ratio: float):
    student, teacher = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64)
    assert_continuous(lambda r: gaussian_wasserstein(student, teacher, r).mean(), ratio)


def test_cells_lie_where_adaptive_pooling_puts_them():
    feature = torch.randn(1, 2, 5, 7)
    pooled = torch.nn.functional.adaptive_avg_pool2d(feature, 3).flatten(2)
    distance = gaussian_wasserstein(feature, torch.zeros_like(feature), 1.0, 3)
    without_means = gaussian_wasserstein(feature, torch.zeros_like(feature), 0.0, 3)
    torch.testing.assert_close((distance - without_means) * 9, pooled.square().sum((1, 2)))


def test_refusals():
    assert refusal(lambda: WKDFLoss(-1.0)) == "`mean_ratio` must be >= 0, got -1.0"
    assert refusal(lambda: WKDFLoss(cells=0)) == "`cells` must be >= 1, got 0"
    assert (
        refusal(lambda: gaussian_wasserstein(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, 4)))
        == "`student` (2, 3, 1) and `teacher` (2, 4, 1) must have the same shape"
    )
