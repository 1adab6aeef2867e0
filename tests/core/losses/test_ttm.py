"""TTMLoss and WTTMLoss against loops over samples and classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import KDLoss, TTMLoss, WTTMLoss, power_sum

from .cases import Case
from .derivations import assert_continuous, kl, labelled_batches, refusal, softmax


def logits(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 5), "teacher": 3 * torch.randn(batch, 5)}


CASES = [
    Case(name="TTMLoss", loss=TTMLoss, inputs=logits),
    Case(name="TTMLoss-power_1", loss=lambda: TTMLoss(1.0), inputs=logits, zero_at_equality=True),
    Case(name="WTTMLoss", loss=WTTMLoss, inputs=logits),
]


def slow(student, teacher, gamma: float, weighted: bool) -> float:
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        powers = [p**gamma for p in softmax(t)]
        divergence = kl([power / sum(powers) for power in powers], softmax(s))
        total += sum(powers) * divergence if weighted else divergence
    return total / len(student)


@pytest.mark.parametrize("weighted", [False, True])
@given(batch=labelled_batches(), gamma=st.floats(0, 2))
def test_equals_the_slow_derivation(weighted: bool, batch: tuple, gamma: float):
    value = (WTTMLoss if weighted else TTMLoss)(gamma)(*batch[:2])
    assert value.item() == pytest.approx(slow(*batch[:2], gamma, weighted), rel=1e-8, abs=1e-8)


def test_power_1_is_kd_at_temperature_1():
    inputs = logits(4)
    torch.testing.assert_close(TTMLoss(1.0)(**inputs), KDLoss(1.0)(**inputs))
    torch.testing.assert_close(WTTMLoss(1.0)(**inputs), KDLoss(1.0)(**inputs))


def test_the_power_sum_runs_from_one_to_the_number_of_classes():
    teacher = logits(4)["teacher"]
    torch.testing.assert_close(power_sum(teacher, 0.0), torch.full((4,), 5.0))
    torch.testing.assert_close(power_sum(teacher, 1.0), torch.ones(4))
    torch.testing.assert_close(power_sum(1e4 * teacher, 0.5), torch.ones(4))


@pytest.mark.parametrize("loss", [TTMLoss, WTTMLoss])
def test_gradient_is_that_of_finite_differences(loss: type):
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(0.3)(s, teacher), student.requires_grad_())


@pytest.mark.parametrize("loss", [TTMLoss, WTTMLoss])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_is_continuous_in_the_power(loss: type, gamma: float):
    inputs = logits(4)
    assert_continuous(lambda x: loss(x)(**inputs), gamma)


@pytest.mark.parametrize("loss", [TTMLoss, WTTMLoss])
def test_what_makes_no_sense_is_refused(loss: type):
    shapes = torch.zeros(2, 3), torch.zeros(2, 4)
    assert refusal(lambda: loss()(*shapes)) == "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    assert refusal(lambda: loss(gamma=-1.0)) == "`gamma` must be >= 0, got -1.0"
