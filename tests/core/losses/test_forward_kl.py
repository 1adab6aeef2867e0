"""ForwardKLLoss against loops over tokens; the mean over tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import ForwardKLLoss, KDLoss, token_mean

from .cases import Case
from .derivations import assert_continuous, drawn_sequences, kl, refusal, sequences, slow_sequences

CASES = [
    Case(
        name="ForwardKLLoss",
        loss=ForwardKLLoss,
        inputs=sequences,
        zero_at_equality=True,
        at_temperature=ForwardKLLoss,
    ),
    Case(
        name="ForwardKLLoss-all_tokens",
        loss=lambda: ForwardKLLoss(2.0, chunk=3),
        inputs=lambda batch: {k: v for k, v in sequences(batch).items() if k != "mask"},
        zero_at_equality=True,
    ),
]


@given(drawn=drawn_sequences(), temperature=st.floats(0.5, 5), chunk=st.integers(1, 10))
def test_equals_the_slow_derivation(drawn: tuple, temperature: float, chunk: int):
    student, teacher, mask = drawn
    value = ForwardKLLoss(temperature, chunk)(student, teacher, mask)
    slow = temperature**2 * slow_sequences(kl, student / temperature, teacher / temperature, mask)
    assert value.item() == pytest.approx(slow, rel=1e-8, abs=1e-8)


def test_is_kd_of_all_tokens_as_samples():
    inputs = sequences(5)
    del inputs["mask"]
    rows = {name: value.flatten(0, 1) for name, value in inputs.items()}
    torch.testing.assert_close(ForwardKLLoss(2.0)(**inputs), KDLoss(2.0)(**rows))


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    mask = torch.tensor([[True, False, True], [False, True, False]])
    loss = ForwardKLLoss(1.5, chunk=4)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, mask), student.requires_grad_())


def test_words_that_both_rule_out_do_no_harm():
    inputs = sequences(4)
    inputs["student"].requires_grad_()
    padded = {k: v if k == "mask" else torch.cat([v, torch.full((4, 4, 2), -torch.inf)], 2) for k, v in inputs.items()}
    value, expected = ForwardKLLoss()(**padded), ForwardKLLoss()(**inputs)
    torch.testing.assert_close(value, expected)
    gradients = [torch.autograd.grad(v, inputs["student"])[0] for v in (value, expected)]
    torch.testing.assert_close(*gradients)


def test_without_a_token_it_is_zero():
    inputs = {**sequences(2), "mask": torch.zeros(2, 4)}
    inputs["student"].requires_grad_()
    value = ForwardKLLoss()(**inputs)
    value.backward()
    assert value.item() == 0
    assert not inputs["student"].grad.any()


def test_the_mean_is_over_the_tokens_that_count():
    assert token_mean(torch.tensor([[1.0, 2.0], [6.0, 0.0]]), torch.tensor([[1, 1], [1, 0]])).item() == 3
    assert token_mean(torch.tensor([[1.0, 2.0], [6.0, 0.0]])).item() == 9 / 4


@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
def test_is_continuous_in_the_temperature(temperature: float):
    inputs = sequences(4)
    assert_continuous(lambda x: ForwardKLLoss(x)(**inputs), temperature)


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3, 4), torch.zeros(2, 3, 5)
    assert refusal(lambda: ForwardKLLoss()(*shapes)) == (
        "`student` (2, 3, 4) and `teacher` (2, 3, 5) must have the same shape: "
        "logits of two tokenizers can be compared by ULDLoss, and of one tokenizer up to its last token"
    )
    assert refusal(lambda: ForwardKLLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
    assert refusal(lambda: ForwardKLLoss(chunk=0)) == "`chunk` must be >= 1, got 0"
