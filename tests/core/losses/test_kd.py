"""KDLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import KDLoss, kd_divergence

from .cases import Case


def logits(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 5), "teacher": 3 * torch.randn(batch, 5)}


def maps(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 5, 2, 3), "teacher": 3 * torch.randn(batch, 5, 2, 3)}


CASES = [
    Case(name="KDLoss", loss=KDLoss, inputs=logits, zero_at_equality=True, at_temperature=KDLoss),
    Case(name="KDLoss-mean", loss=lambda: KDLoss(2.0, reduction="mean"), inputs=maps, zero_at_equality=True),
]


def softmax(values: list[float], temperature: float) -> list[float]:
    greatest = max(values)
    powers = [math.exp((value - greatest) / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def slow(student: list[list[float]], teacher: list[list[float]], temperature: float) -> float:
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        for p, q in zip(softmax(t, temperature), softmax(s, temperature), strict=True):
            total += p * (math.log(p) - math.log(q))
    return temperature**2 * total / len(student)


numbers = st.floats(-8, 8)
batches = st.integers(2, 6).flatmap(
    lambda classes: st.lists(
        st.tuples(*[st.lists(numbers, min_size=classes, max_size=classes)] * 2), min_size=1, max_size=4
    )
)


@given(batch=batches, temperature=st.floats(0.5, 20))
def test_equals_the_slow_derivation(batch: list, temperature: float):
    student, teacher = ([list(pair[i]) for pair in batch] for i in (0, 1))
    value = KDLoss(temperature)(torch.tensor(student, dtype=torch.float64), torch.tensor(teacher, dtype=torch.float64))
    assert value.item() == pytest.approx(slow(student, teacher, temperature), rel=1e-9, abs=1e-9)


def test_gradient_is_that_of_finite_differences():
    student, teacher = (
        torch.randn(3, 4, dtype=torch.float64, requires_grad=True),
        torch.randn(3, 4, dtype=torch.float64),
    )
    assert torch.autograd.gradcheck(lambda s: KDLoss(3.0)(s, teacher), student)


def test_reductions_of_maps():
    inputs = maps(4)
    every_position = kd_divergence(**inputs, temperature=2.0)
    assert every_position.shape == (4, 2, 3)
    torch.testing.assert_close(KDLoss(2.0)(**inputs), every_position.sum() / 4)
    torch.testing.assert_close(KDLoss(2.0, reduction="mean")(**inputs), every_position.sum() / 24)


def test_a_map_is_the_logits_of_its_positions():
    inputs = maps(4)
    rows = {name: value.movedim(1, -1).reshape(-1, 5) for name, value in inputs.items()}
    torch.testing.assert_close(KDLoss(2.0, reduction="mean")(**inputs), KDLoss(2.0)(**rows))


@given(temperature=st.floats(0.5, 20))
def test_is_continuous_in_the_temperature(temperature: float):
    inputs = {
        "student": torch.tensor([[1.0, -2.0, 0.5]]).double(),
        "teacher": torch.tensor([[0.0, 3.0, -1.0]]).double(),
    }
    near, value = KDLoss(temperature + 1e-6)(**inputs), KDLoss(temperature)(**inputs)
    assert near.item() == pytest.approx(value.item(), abs=1e-4)


def test_a_great_temperature_gives_half_the_squared_distance_of_centred_logits():
    """The paper's section 2.1: with zero-mean logits, high temperatures match logits."""
    student, teacher = (x - x.mean(1, keepdim=True) for x in torch.randn(2, 3, 5, dtype=torch.float64))
    torch.testing.assert_close(
        KDLoss(1e5)(student, teacher), (student - teacher).square().sum() / (2 * 5 * 3), rtol=1e-4, atol=0
    )


def test_different_shapes_are_refused():
    with pytest.raises(ValueError) as error:
        KDLoss()(torch.zeros(2, 3), torch.zeros(2, 4))
    assert str(error.value) == "`student` (2, 3) and `teacher` (2, 4) must have the same shape"


def test_invalid_hyper_parameters_are_refused():
    with pytest.raises(ValueError) as error:
        KDLoss(reduction="sum")
    assert str(error.value) == "`reduction` must be 'batchmean' or 'mean', got 'sum'"


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_is_above_zero(temperature: float):
    with pytest.raises(ValueError) as error:
        KDLoss(temperature)
    assert str(error.value) == f"`temperature` must be > 0, got {temperature}"
