"""DMLLoss against loops over students and samples."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import DMLLoss, KDLoss

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax

CASES = [
    Case(
        name="DMLLoss",
        loss=DMLLoss,
        inputs=lambda batch: {"student": [3 * torch.randn(batch, 5) for _ in range(3)]},
    )
]


@given(count=st.integers(2, 4), temperature=st.floats(0.5, 5), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(count: int, temperature: float, seed: int):
    torch.manual_seed(seed)
    students = [torch.randn(3, 4, dtype=torch.float64) for _ in range(count)]
    total = 0.0
    for k, one in enumerate(students):
        for peer, other in enumerate(students):
            rows = zip(other.tolist(), one.tolist(), strict=True)
            total += sum(kl(softmax(p, temperature), softmax(q, temperature)) for p, q in rows if k != peer)
    expected = temperature**2 * total / 3 / (count - 1)
    assert DMLLoss(temperature)(students).item() == pytest.approx(expected, rel=1e-9)


def test_two_students_are_two_kd_losses_wired_crosswise():
    students = [torch.randn(4, 5, requires_grad=True) for _ in range(2)]
    crosswise = KDLoss(1.0)(*students) + KDLoss(1.0)(*students[::-1])
    values = [DMLLoss()(students), crosswise]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value, students) for value in values))


def test_students_that_agree_have_no_loss():
    logits = torch.randn(4, 5)
    assert DMLLoss()([logits, logits.clone(), logits.clone()]).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
def test_is_continuous_in_the_temperature(temperature: float):
    students = [torch.randn(4, 5) for _ in range(3)]
    assert_continuous(lambda x: DMLLoss(x)(students), temperature)


def test_gradient_is_that_of_finite_differences_with_the_others_constant():
    students = [torch.randn(3, 4, dtype=torch.float64) for _ in range(3)]

    def own_part(one: torch.Tensor) -> torch.Tensor:
        return sum(KDLoss(1.0)(one, other) for other in students[1:]) / 2

    students[0].requires_grad_()
    assert torch.autograd.gradcheck(own_part, students[0])
    torch.testing.assert_close(
        *(torch.autograd.grad(value, students[0])[0] for value in (DMLLoss()(students), own_part(students[0])))
    )


def test_what_makes_no_sense_is_refused():
    assert refusal(lambda: DMLLoss()([torch.zeros(2, 3)])) == (
        "`student` has the logits of 1 model: mutual learning needs at least two"
    )
    assert refusal(lambda: DMLLoss()([torch.zeros(2, 3), torch.zeros(2, 4)])) == (
        "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    )
    assert refusal(lambda: DMLLoss(0.0)) == "`temperature` must be > 0, got 0.0"
