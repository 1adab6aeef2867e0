"""TokenCELoss against loops over tokens."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import TokenCELoss

from .cases import Case
from .derivations import drawn_sequences, refusal, softmax


def labelled(batch: int) -> dict[str, torch.Tensor]:
    target = torch.randint(7, (batch, 4)).masked_fill(torch.arange(4) > torch.arange(batch)[:, None] % 4, -100)
    return {"student": 2 * torch.randn(batch, 4, 7), "target": target}


CASES = [
    Case(name="TokenCELoss", loss=TokenCELoss, inputs=labelled),
    Case(
        name="TokenCELoss-masked",
        loss=lambda: TokenCELoss(chunk=3),
        inputs=lambda batch: {**labelled(batch), "mask": torch.arange(4) % 3 < torch.ones(batch, 1)},
    ),
]


@given(drawn=drawn_sequences(), chunk=st.integers(1, 10))
def test_equals_the_slow_derivation(drawn: tuple, chunk: int):
    student, teacher, mask = drawn
    target = teacher.argmax(-1)
    counted = mask.nonzero().tolist()
    slow = [-math.log(softmax(student[b, i].tolist())[target[b, i]]) for b, i in counted]
    expected = sum(slow) / len(slow) if slow else 0.0
    loss = TokenCELoss(chunk)
    assert loss(student, target, mask).item() == pytest.approx(expected, rel=1e-8, abs=1e-8)
    ignored = target.masked_fill(~mask, -100)
    torch.testing.assert_close(loss(student, ignored), loss(student, target, mask))
    torch.testing.assert_close(loss(student, ignored, torch.ones_like(mask)), loss(student, target, mask))


def test_is_that_of_torch():
    inputs = labelled(5)
    plain = torch.nn.functional.cross_entropy(inputs["student"].flatten(0, 1), inputs["target"].flatten())
    torch.testing.assert_close(TokenCELoss()(**inputs), plain)


def test_gradient_is_that_of_finite_differences():
    student, target = torch.randn(2, 3, 4, dtype=torch.float64), torch.tensor([[1, -100, 3], [0, 2, -100]])
    assert torch.autograd.gradcheck(lambda s: TokenCELoss(chunk=4)(s, target), student.requires_grad_())


def test_what_makes_no_sense_is_refused():
    assert refusal(lambda: TokenCELoss()(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.long))) == (
        "`student` (2, 3, 4) and `target` (2, 4) must be (batch, tokens, vocabulary) and (batch, tokens)"
    )
    assert refusal(lambda: TokenCELoss(chunk=0)) == "`chunk` must be >= 1, got 0"
