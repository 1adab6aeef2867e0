"""RLDLoss against loops over samples and classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import RLDLoss, lower_divergence

from .cases import Case
from .derivations import assert_continuous, kl, labelled_batches, refusal, softmax


def labelled(batch: int) -> dict:
    return {
        "student": 3 * torch.randn(batch, 5),
        "teacher": 3 * torch.randn(batch, 5),
        "target": torch.randint(5, (batch,)),
    }


CASES = [Case(name="RLDLoss", loss=RLDLoss, inputs=labelled)]


def slow(student, teacher, target, alpha: float, beta: float, temperatures: tuple[float, float]) -> float:
    temperature, of_confidence = temperatures
    total = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        p, q = max(softmax(t, of_confidence)), softmax(s, of_confidence)[y]
        total += alpha * of_confidence**2 * kl([p, 1 - p], [q, 1 - q])
        lower = [number for number, value in enumerate(t) if value < t[y]]
        if lower:
            chosen = [softmax([values[number] for number in lower], temperature) for values in (t, s)]
            total += beta * temperature**2 * kl(*chosen)
    return total / len(target)


@given(
    batch=labelled_batches(),
    alpha=st.floats(0, 3),
    beta=st.floats(0, 8),
    temperatures=st.tuples(st.floats(0.8, 10), st.floats(0.8, 4)),
)
def test_equals_the_slow_derivation(batch: tuple, alpha: float, beta: float, temperatures: tuple):
    value = RLDLoss(alpha, beta, *temperatures)(*batch)
    assert value.item() == pytest.approx(slow(*batch, alpha, beta, temperatures), rel=1e-7, abs=1e-7)


def test_the_order_above_the_target_is_not_taught():
    teacher, target = torch.tensor([[4.0, 3.0, 1.0, 0.0, -2.0]]), torch.tensor([2])
    student = torch.zeros(1, 5, requires_grad=True)
    lower_divergence(student, teacher, target).sum().backward()
    assert student.grad[0].ne(0).tolist() == [False, False, False, True, True]


def test_a_target_below_all_others_leaves_only_the_confidence():
    teacher, target = torch.tensor([[4.0, 3.0, -1.0]]), torch.tensor([2])
    student = torch.zeros(1, 3, requires_grad=True)
    value = lower_divergence(student, teacher, target).sum()
    value.backward()
    assert value.item() == 0
    assert student.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    loss = RLDLoss(2.0, 3.0, 1.5, 0.7)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, torch.tensor([0, 3, 1])), student.requires_grad_())


@pytest.mark.parametrize("value", [0.0, 1.0, 4.0])
def test_is_continuous_in_each_number(value: float):
    inputs = labelled(4)
    assert_continuous(lambda x: RLDLoss(alpha=x)(**inputs), value)
    assert_continuous(lambda x: RLDLoss(beta=x)(**inputs), value)
    assert_continuous(lambda x: RLDLoss(temperature=x)(**inputs), value + 0.5)
    assert_continuous(lambda x: RLDLoss(confidence_temperature=x)(**inputs), value + 0.5)


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)
    assert refusal(lambda: RLDLoss()(*shapes)) == "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    assert refusal(lambda: RLDLoss(alpha=-1.0)) == "`alpha` must be >= 0, got -1.0"
    assert refusal(lambda: RLDLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
    assert refusal(lambda: RLDLoss(confidence_temperature=0.0)) == "`confidence_temperature` must be > 0, got 0.0"
