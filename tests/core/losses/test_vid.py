"""VIDLoss against loops over samples, channels and positions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import VIDLoss, gaussian_surprise

from .cases import Case
from .derivations import assert_continuous, refusal


def maps(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 5, 4, 4)}


def vectors(batch: int) -> dict:
    return {"student": torch.randn(batch, 3), "teacher": torch.randn(batch, 5)}


CASES = [
    Case(name="VIDLoss", loss=VIDLoss, inputs=maps),
    Case(name="VIDLoss-given", loss=lambda: VIDLoss(7, student_channels=3, teacher_channels=5), inputs=maps),
    Case(name="VIDLoss-vectors", loss=lambda: VIDLoss(4), inputs=vectors),
    Case(
        name="VIDLoss-sizes",
        loss=VIDLoss,
        inputs=lambda batch: {"student": torch.randn(batch, 3, 6, 2), "teacher": torch.randn(batch, 5, 3, 4)},
    ),
]


def mapped(row: list[float], layer: torch.nn.Module) -> list[float]:
    return [sum(w * x for w, x in zip(line, row, strict=True)) for line in layer.weight.tolist()]


def slow(student: list[list[float]], teacher: list[list[float]], loss: VIDLoss) -> float:
    variances = [math.log1p(math.exp(alpha)) + loss.variance.eps for alpha in loss.variance.alpha.tolist()]
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        hidden = ours
        for layer in (loss.first, loss.second):
            hidden = [max(x, 0.0) for x in mapped(hidden, layer)]
        for mean, variance, t in zip(mapped(hidden, loss.third), variances, theirs, strict=True):
            total += ((t - mean) ** 2 / variance + math.log(variance)) / 2
    return total / len(student) / len(variances)


@given(batch=st.integers(1, 4), sizes=st.tuples(*[st.integers(1, 4)] * 3), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(batch: int, sizes: tuple[int, int, int], seed: int):
    torch.manual_seed(seed)
    ours, middle, theirs = sizes
    loss = VIDLoss(middle, student_channels=ours, teacher_channels=theirs).double()
    torch.nn.init.normal_(loss.variance.alpha)
    student, teacher = (torch.randn(batch, size, dtype=torch.float64) for size in (ours, theirs))
    expected = slow(student.tolist(), teacher.tolist(), loss)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-9)


def test_a_map_is_the_vectors_of_its_positions():
    inputs, loss = maps(4), VIDLoss()
    rows = {name: value.movedim(1, -1).flatten(0, 2) for name, value in inputs.items()}
    torch.testing.assert_close(loss(**inputs), loss(**rows))


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value.double() for name, value in vectors(3).items()}
    loss = VIDLoss(4, student_channels=3, teacher_channels=5).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())
    mean, teacher = torch.randn(2, 3, 5, dtype=torch.float64)
    variance = torch.rand(5, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(lambda v: gaussian_surprise(mean, v, teacher), variance.requires_grad_())


@given(initial=st.floats(0.01, 20), eps=st.floats(1e-7, 1e-3))
def test_is_continuous_in_the_first_variance_and_eps(initial: float, eps: float):
    def value(first: float, least: float) -> torch.Tensor:
        torch.manual_seed(0)
        loss = VIDLoss(4, first, least, student_channels=3, teacher_channels=5).double()
        return loss(**{name: x.double() for name, x in vectors(3).items()})

    assert_continuous(lambda v: value(v, eps), at=initial)
    assert_continuous(lambda v: value(initial, v), at=eps, step=1e-9)


def test_variances_settle_at_the_mean_squared_error():
    """Where the loss is least in σ², with the mean held at 0."""
    teacher = 3 * torch.randn(64, 2)
    best = teacher.square().mean(0)
    least = gaussian_surprise(torch.zeros(64, 2), best, teacher)
    assert all(gaussian_surprise(torch.zeros(64, 2), best * factor, teacher) > least for factor in (0.8, 1.25))


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: VIDLoss(eps=0.0)) == "`eps` must be > 0, got 0.0"
    assert refusal(lambda: VIDLoss(initial_variance=0.25, eps=0.5)) == "`initial_variance` must be > 0.5, got 0.25"
