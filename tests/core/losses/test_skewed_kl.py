"""SkewedKLLoss and SkewedReverseKLLoss against loops over tokens; their ends."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import ForwardKLLoss, ReverseKLLoss, SkewedKLLoss, SkewedReverseKLLoss

from .cases import Case
from .derivations import assert_continuous, drawn_sequences, kl, refusal, sequences, slow_sequences

BOTH = [SkewedKLLoss, SkewedReverseKLLoss]
CASES = [
    Case(name="SkewedKLLoss", loss=SkewedKLLoss, inputs=sequences, zero_at_equality=True),
    Case(name="SkewedReverseKLLoss", loss=SkewedReverseKLLoss, inputs=sequences, zero_at_equality=True),
]


@pytest.mark.parametrize("loss", BOTH)
@given(drawn=drawn_sequences(), skew=st.floats(0, 1))
def test_equals_the_slow_derivation(loss: type, drawn: tuple, skew: float):
    def slow(p: list[float], q: list[float]) -> float:
        first, second = (p, q) if loss is SkewedKLLoss else (q, p)
        return kl(first, [skew * a + (1 - skew) * b for a, b in zip(first, second, strict=True)])

    assert loss(skew)(*drawn).item() == pytest.approx(slow_sequences(slow, *drawn), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("loss", BOTH)
def test_the_ends_are_the_plain_divergence_and_nothing(loss: type):
    inputs = sequences(4)
    plain = ForwardKLLoss() if loss is SkewedKLLoss else ReverseKLLoss()
    assert torch.equal(loss(0.0)(**inputs), plain(**inputs))
    assert loss(1.0)(**inputs).item() == 0


@pytest.mark.parametrize("loss", BOTH)
@pytest.mark.parametrize("skew", [0.0, 0.1, 1 - 1e-6])
def test_is_continuous_in_the_skew(loss: type, skew: float):
    inputs = sequences(4)
    assert_continuous(lambda x: loss(x)(**inputs), skew)


@pytest.mark.parametrize("loss", BOTH)
def test_is_bounded_where_the_plain_divergence_is_not(loss: type):
    student, teacher = torch.tensor([[[1e4, 0.0]]]), torch.tensor([[[0.0, 1e4]]])
    assert loss(0.1)(student, teacher).item() == pytest.approx(2.302585)
    assert ForwardKLLoss()(student, teacher) == 1e4


@pytest.mark.parametrize("loss", BOTH)
@pytest.mark.parametrize("skew", [0.0, 0.1])
def test_gradient_is_that_of_finite_differences(loss: type, skew: float):
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(skew, chunk=4)(s, teacher), student.requires_grad_())


@pytest.mark.parametrize("loss", BOTH)
def test_what_makes_no_sense_is_refused(loss: type):
    shapes = torch.zeros(2, 3, 4), torch.zeros(2, 3, 5)
    assert refusal(lambda: loss()(*shapes)) == (
        "`student` (2, 3, 4) and `teacher` (2, 3, 5) must have the same shape: "
        "logits of two tokenizers can be compared by ULDLoss, and of one tokenizer up to its last token"
    )
    assert refusal(lambda: loss(-0.1)) == "`skew` must be >= 0 and <= 1, got -0.1"
    assert refusal(lambda: loss(chunk=0)) == "`chunk` must be >= 1, got 0"
