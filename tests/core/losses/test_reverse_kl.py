"""ReverseKLLoss against loops over tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import ForwardKLLoss, ReverseKLLoss

from .cases import Case
from .derivations import assert_continuous, drawn_sequences, kl, refusal, sequences, slow_sequences

CASES = [
    Case(
        name="ReverseKLLoss", loss=ReverseKLLoss, inputs=sequences, zero_at_equality=True, at_temperature=ReverseKLLoss
    )
]


@given(drawn=drawn_sequences(), temperature=st.floats(0.5, 5))
def test_equals_the_slow_derivation(drawn: tuple, temperature: float):
    student, teacher, mask = drawn
    value = ReverseKLLoss(temperature)(student, teacher, mask)
    slow = slow_sequences(lambda p, q: kl(q, p), student / temperature, teacher / temperature, mask)
    assert value.item() == pytest.approx(temperature**2 * slow, rel=1e-8, abs=1e-8)


def test_is_the_forward_one_with_the_sides_exchanged():
    inputs = sequences(4)
    exchanged = {"student": inputs["teacher"], "teacher": inputs["student"], "mask": inputs["mask"]}
    torch.testing.assert_close(ReverseKLLoss(2.0)(**inputs), ForwardKLLoss(2.0)(**exchanged))


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: ReverseKLLoss(1.5, chunk=4)(s, teacher), student.requires_grad_())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
def test_is_continuous_in_the_temperature(temperature: float):
    inputs = sequences(4)
    assert_continuous(lambda x: ReverseKLLoss(x)(**inputs), temperature)


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3, 4), torch.zeros(2, 3, 5)
    assert refusal(lambda: ReverseKLLoss()(*shapes)) == (
        "`student` (2, 3, 4) and `teacher` (2, 3, 5) must have the same shape: "
        "logits of two tokenizers can be compared by ULDLoss, and of one tokenizer up to its last token"
    )
    assert refusal(lambda: ReverseKLLoss(temperature=-1.0)) == "`temperature` must be > 0, got -1.0"
    assert refusal(lambda: ReverseKLLoss(chunk=0)) == "`chunk` must be >= 1, got 0"
