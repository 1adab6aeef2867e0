"""DKDLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import DKDLoss, decoupled_divergences, kd_divergence

from .cases import Case
from .derivations import assert_continuous, kl, labelled_batches, refusal, softmax, without


def labelled(batch: int) -> dict:
    return {
        "student": 3 * torch.randn(batch, 5),
        "teacher": 3 * torch.randn(batch, 5),
        "target": torch.randint(5, (batch,)),
    }


CASES = [
    Case(
        name="DKDLoss",
        loss=DKDLoss,
        inputs=labelled,
        zero_at_equality=True,
        at_temperature=lambda t: DKDLoss(temperature=t),
    )
]


def slow(student, teacher, target, alpha: float, beta: float, temperature: float) -> float:
    total = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        p, q = softmax(t, temperature), softmax(s, temperature)
        rest = softmax(without(t, y), temperature), softmax(without(s, y), temperature)
        total += alpha * kl([p[y], sum(without(p, y))], [q[y], sum(without(q, y))]) + beta * kl(*rest)
    return temperature**2 * total / len(target)


@given(batch=labelled_batches(), alpha=st.floats(0, 3), beta=st.floats(0, 8), temperature=st.floats(0.8, 10))
def test_equals_the_slow_derivation(batch: tuple, alpha: float, beta: float, temperature: float):
    value = DKDLoss(alpha, beta, temperature)(*batch)
    assert value.item() == pytest.approx(slow(*batch, alpha, beta, temperature), rel=1e-8, abs=1e-8)


@given(batch=labelled_batches(), temperature=st.floats(0.8, 10))
def test_the_teachers_own_rest_in_place_of_beta_is_kd(batch: tuple, temperature: float):
    """The paper's equation 6."""
    student, teacher, target = batch
    of_target, of_others = decoupled_divergences(student, teacher, target, temperature)
    rest = 1 - torch.softmax(teacher / temperature, dim=1).gather(1, target[:, None]).squeeze(1)
    expected = kd_divergence(student, teacher, temperature) / temperature**2
    torch.testing.assert_close(of_target + rest * of_others, expected, rtol=1e-6, atol=1e-9)


def test_a_target_that_is_all_but_certain_keeps_its_gradient():
    """Probabilities would be 1 and 0 here, and their logarithms 0 and −∞."""
    student, teacher = torch.tensor([[300.0, 0.0, -1.0]], requires_grad=True), torch.tensor([[0.0, 1.0, 0.0]])
    value = DKDLoss(alpha=1.0, beta=0.0, temperature=1.0)(student, teacher, torch.tensor([0]))
    value.backward()
    certain = 1 - math.exp(0) / (2 + math.e)
    assert student.grad[0, 0].item() == pytest.approx(certain, rel=1e-5)


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    loss = DKDLoss(2.0, 3.0, 1.5)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, torch.tensor([0, 3, 1])), student.requires_grad_())


@pytest.mark.parametrize("value", [0.0, 1.0, 4.0])
def test_is_continuous_in_each_number(value: float):
    inputs = labelled(4)
    assert_continuous(lambda x: DKDLoss(alpha=x)(**inputs), value)
    assert_continuous(lambda x: DKDLoss(beta=x)(**inputs), value)
    assert_continuous(lambda x: DKDLoss(temperature=x)(**inputs), value + 0.5)


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)
    assert refusal(lambda: DKDLoss()(*shapes)) == "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    assert refusal(lambda: DKDLoss(alpha=-1.0)) == "`alpha` must be >= 0, got -1.0"
    assert refusal(lambda: DKDLoss(beta=-1.0)) == "`beta` must be >= 0, got -1.0"
    assert refusal(lambda: DKDLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
