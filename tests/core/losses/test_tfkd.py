"""TfKDLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import TfKDLoss, virtual_teacher

from .cases import Case
from .derivations import assert_continuous, kl, labelled_batches, refusal, softmax


def logits(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 5), "target": torch.randint(5, (batch,))}


CASES = [
    Case(name="TfKDLoss", loss=TfKDLoss, inputs=logits),
    Case(name="TfKDLoss-code", loss=lambda: TfKDLoss(mode="code"), inputs=logits),
    Case(name="TfKDLoss-certain", loss=lambda: TfKDLoss(correct=1.0), inputs=logits),
]


def slow(student: list[list[float]], target: list[int], correct: float, temperature: float, mode: str) -> float:
    total = 0.0
    for row, label in zip(student, target, strict=True):
        others = (1 - correct) / (len(row) - 1)
        u = [correct if k == label else others for k in range(len(row))]
        if mode == "paper":
            total += kl(softmax([math.log(x) for x in u], temperature), softmax(row, temperature))
        else:
            total += kl(softmax(u, temperature), softmax(row)) / len(row)
    return total / len(student)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(batch=labelled_batches(), correct=st.floats(0.01, 0.99), temperature=st.floats(0.5, 40))
def test_equals_the_slow_derivation(mode: str, batch: tuple, correct: float, temperature: float):
    student, _, target = batch
    expected = slow(student.tolist(), target.tolist(), correct, temperature, mode)
    value = TfKDLoss(correct, temperature, mode)(student, target)
    assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mode", ["paper", "code"])
@pytest.mark.parametrize("correct", [0.0, 0.9, 1.0])
def test_gradient_is_that_of_finite_differences(mode: str, correct: float):
    student, target = torch.randn(3, 4, dtype=torch.float64), torch.tensor([0, 3, 1])
    loss = TfKDLoss(correct, 2.0, mode)
    assert torch.autograd.gradcheck(lambda s: loss(s, target), student.requires_grad_())


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(correct=st.floats(0.01, 0.98), temperature=st.floats(0.5, 40))
def test_is_continuous_in_both_numbers(mode: str, correct: float, temperature: float):
    student, target = torch.arange(12.0).double().sin().view(3, 4), torch.tensor([0, 3, 1])
    assert_continuous(lambda a: TfKDLoss(a, temperature, mode)(student, target), at=correct)
    assert_continuous(lambda t: TfKDLoss(correct, t, mode)(student, target), at=temperature)


@pytest.mark.parametrize("mode", ["paper", "code"])
@pytest.mark.parametrize(("end", "near"), [(0.0, 1e-30), (1.0, 1 - 2**-52)])
def test_is_continuous_at_both_ends(mode: str, end: float, near: float):
    """At τ = 1/2, where the logarithm of what is left counts little soon."""
    student, target = torch.arange(12.0).double().sin().view(3, 4), torch.tensor([0, 3, 1])
    ours, theirs = (TfKDLoss(a, 0.5, mode)(student, target).item() for a in (end, near))
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_a_certain_teacher_at_temperature_one_is_cross_entropy():
    inputs = logits(6)
    expected = torch.nn.functional.cross_entropy(inputs["student"], inputs["target"])
    torch.testing.assert_close(TfKDLoss(1.0, 1.0)(**inputs), expected)


def test_the_virtual_teacher_is_a_distribution():
    u = virtual_teacher(torch.tensor([2, 0]), classes=5, correct=0.9)
    torch.testing.assert_close(u.sum(1), torch.ones(2))
    assert u[0].tolist() == pytest.approx([0.025, 0.025, 0.9, 0.025, 0.025])


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: TfKDLoss(1.5)) == "`correct` must be >= 0 and <= 1, got 1.5"
    assert refusal(lambda: TfKDLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
    assert refusal(lambda: TfKDLoss(mode="cod")) == "`mode` must be 'paper' or 'code', got 'cod'"
