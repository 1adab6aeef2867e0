"""GeneralisedJSDLoss against loops over tokens; its ends."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import ForwardKLLoss, GeneralisedJSDLoss, ReverseKLLoss

from .cases import Case
from .derivations import assert_continuous, drawn_sequences, kl, refusal, sequences, slow_sequences

CASES = [
    Case(name="GeneralisedJSDLoss", loss=GeneralisedJSDLoss, inputs=sequences, zero_at_equality=True),
    Case(name="GeneralisedJSDLoss-0", loss=lambda: GeneralisedJSDLoss(0.0), inputs=sequences, zero_at_equality=True),
    Case(name="GeneralisedJSDLoss-1", loss=lambda: GeneralisedJSDLoss(1.0), inputs=sequences, zero_at_equality=True),
    Case(
        name="GeneralisedJSDLoss-scaled",
        loss=lambda: GeneralisedJSDLoss(0.3, "scaled"),
        inputs=sequences,
        zero_at_equality=True,
    ),
]


def slow(p: list[float], q: list[float], beta: float) -> float:
    middle = [beta * a + (1 - beta) * b for a, b in zip(p, q, strict=True)]
    return beta * kl(p, middle) + (1 - beta) * kl(q, middle)


@pytest.mark.parametrize("mode", ["paper", "scaled"])
@given(drawn=drawn_sequences(), beta=st.floats(0.01, 0.99))
def test_equals_the_slow_derivation(mode: str, drawn: tuple, beta: float):
    value = GeneralisedJSDLoss(beta, mode)(*drawn)
    scale = 1 if mode == "paper" else beta * (1 - beta)
    expected = slow_sequences(lambda p, q: slow(p, q, beta), *drawn) / scale
    assert value.item() == pytest.approx(expected, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("mode", ["paper", "scaled"])
def test_the_ends_are_the_two_divergences(mode: str):
    inputs = sequences(4)
    assert torch.equal(GeneralisedJSDLoss(0.0, mode)(**inputs), ForwardKLLoss()(**inputs))
    assert torch.equal(GeneralisedJSDLoss(1.0, mode)(**inputs), ReverseKLLoss()(**inputs))


def test_scaled_is_continuous_up_to_the_ends():
    inputs = {k: v.double() if v.is_floating_point() else v for k, v in sequences(4).items()}
    for beta in (0.0, 0.2, 0.5, 1 - 1e-6):
        assert_continuous(lambda x: GeneralisedJSDLoss(x, "scaled")(**inputs), beta)


def test_paper_is_continuous_between_the_ends_and_divided_by_beta_tends_to_the_forward_divergence():
    inputs = {k: v.double() if v.is_floating_point() else v for k, v in sequences(4).items()}
    for beta in (1e-4, 0.5, 1 - 1e-4):
        assert_continuous(lambda x: GeneralisedJSDLoss(x)(**inputs), beta)
    near = GeneralisedJSDLoss(1e-6)(**inputs) / 1e-6
    torch.testing.assert_close(near, ForwardKLLoss()(**inputs), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_gradient_is_that_of_finite_differences(beta: float):
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    loss = GeneralisedJSDLoss(beta, chunk=4)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3, 4), torch.zeros(2, 3, 5)
    assert refusal(lambda: GeneralisedJSDLoss()(*shapes)) == (
        "`student` (2, 3, 4) and `teacher` (2, 3, 5) must have the same shape: "
        "logits of two tokenizers can be compared by ULDLoss, and of one tokenizer up to its last token"
    )
    assert refusal(lambda: GeneralisedJSDLoss(1.5)) == "`beta` must be >= 0 and <= 1, got 1.5"
    assert refusal(lambda: GeneralisedJSDLoss(mode="code")) == "`mode` must be 'paper' or 'scaled', got 'code'"
    assert refusal(lambda: GeneralisedJSDLoss(chunk=0)) == "`chunk` must be >= 1, got 0"
