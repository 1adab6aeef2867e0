"""CTKDLoss: KD at a temperature that climbs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.experiment import StageProgress
from distill_core.losses import CTKDLoss
from distill_core.schedules import Cosine

from .cases import Case
from .derivations import assert_continuous, kl, labelled_batches, refusal, softmax


def logits(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 5), "teacher": 3 * torch.randn(batch, 5)}


CASES = [Case(name="CTKDLoss", loss=CTKDLoss, inputs=logits, zero_at_equality=True)]


@given(batch=labelled_batches(), least=st.floats(0.5, 3), spread=st.floats(0.1, 20), theta=st.floats(-3, 3))
def test_equals_the_slow_derivation(batch: tuple, least: float, spread: float, theta: float):
    student, teacher, _ = batch
    loss = CTKDLoss(least, spread).double()
    torch.nn.init.constant_(loss.theta, theta)
    temperature = least + spread / (1 + math.exp(-theta))
    rows = zip(teacher.tolist(), student.tolist(), strict=True)
    total = sum(kl(softmax(t, temperature), softmax(s, temperature)) for t, s in rows)
    expected = temperature**2 * total / len(student)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_temperature_climbs_where_the_student_descends(strength: float):
    inputs = {name: value.double() for name, value in logits(4).items()}
    loss = CTKDLoss(strength=strength).double()
    loss(**inputs).backward()

    def at(theta: float) -> float:
        moved = CTKDLoss().double()
        torch.nn.init.constant_(moved.theta, theta)
        return moved(**inputs).item()

    slope = (at(1 + 1e-5) - at(1 - 1e-5)) / 2e-5
    assert loss.theta.grad.item() == pytest.approx(-strength * slope, rel=1e-5, abs=1e-12)


def test_gradient_of_the_student_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    loss = CTKDLoss().double()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


def test_the_schedule_reaches_the_reversal():
    loss = CTKDLoss(strength=Cosine(start=0.0, end=1.0, until=10))
    assert loss.reversal.strength.item() == 0
    for module in loss.modules():
        if hasattr(module, "set_progress"):
            module.set_progress(StageProgress(stage=0, step=5, steps=240, epochs=240))
    assert loss.reversal.strength.item() == pytest.approx(0.5)


@pytest.mark.parametrize("value", [1.0, 4.0])
def test_is_continuous_in_each_number(value: float):
    inputs = logits(4)
    assert_continuous(lambda x: CTKDLoss(least=x)(**inputs), value)
    assert_continuous(lambda x: CTKDLoss(spread=x)(**inputs), value)


def test_what_makes_no_sense_is_refused():
    assert refusal(lambda: CTKDLoss()(torch.zeros(2, 3), torch.zeros(2, 4))) == (
        "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    )
    assert refusal(lambda: CTKDLoss(least=0.0)) == "`least` must be > 0, got 0.0"
    assert refusal(lambda: CTKDLoss(spread=0.0)) == "`spread` must be > 0, got 0.0"
