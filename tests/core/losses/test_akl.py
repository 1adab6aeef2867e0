"""AKLLoss against loops over tokens; its two weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import AKLLoss, ForwardKLLoss, ReverseKLLoss, adaptive_kl, head_fraction
from distill_core.losses import forward_kl as forward
from distill_core.losses import reverse_kl as reverse

from .cases import Case
from .derivations import drawn_sequences, kl, refusal, sequences, slow_sequences

CASES = [
    Case(name="AKLLoss", loss=AKLLoss, inputs=sequences, zero_at_equality=True),
    Case(name="AKLLoss-code", loss=lambda: AKLLoss(mode="code"), inputs=sequences, zero_at_equality=True),
]


def slow(p: list[float], q: list[float], mass: float, mode: str) -> float:
    order = sorted(range(len(p)), key=lambda number: -p[number])
    head, upto = set(), 0.0
    for place, number in enumerate(order):
        if (upto < mass) if mode == "paper" else (upto + p[number] <= mass or place == 0):
            head.add(number)
        upto += p[number]
    errors = [abs(a - b) for a, b in zip(p, q, strict=True)]
    share = sum(errors[number] for number in head) / sum(errors) if sum(errors) else 0.5
    return share * kl(p, q) + (1 - share) * kl(q, p)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(drawn=drawn_sequences(), mass=st.sampled_from([0.0, 0.237, 0.513, 0.871]))
def test_equals_the_slow_derivation(mode: str, drawn: tuple, mass: float):
    student, teacher, mask = drawn
    teacher = teacher + torch.linspace(0, 0.1, teacher.shape[2]).double()  # ties have no order
    value = AKLLoss(mass, mode)(student, teacher, mask)
    expected = slow_sequences(lambda p, q: slow(p, q, mass, mode), student, teacher, mask)
    assert value.item() == pytest.approx(expected, rel=1e-7, abs=1e-7)


def test_modes_differ_in_the_token_that_crosses():
    teacher, student = torch.tensor([[0.45, 0.35, 0.2]]).log(), torch.tensor([[0.25, 0.25, 0.5]]).log()
    torch.testing.assert_close(head_fraction(student, teacher, 0.5), torch.tensor([0.3 / 0.6]))
    torch.testing.assert_close(head_fraction(student, teacher, 0.5, "code"), torch.tensor([0.2 / 0.6]))


def test_the_ends_are_the_two_divergences():
    inputs = sequences(4)
    torch.testing.assert_close(AKLLoss(0.0)(**inputs), ReverseKLLoss()(**inputs))
    torch.testing.assert_close(AKLLoss(1.0)(**inputs), ForwardKLLoss()(**inputs))


def test_gradient_takes_the_weights_as_constants():
    student, teacher = torch.randn(2, 6, 5, dtype=torch.float64)
    student.requires_grad_()
    share = head_fraction(student, teacher)
    assert not share.requires_grad
    expected = (share * forward(student, teacher) + (1 - share) * reverse(student, teacher)).mean()
    value = AKLLoss(chunk=4)(student[None], teacher[None])
    torch.testing.assert_close(*(torch.autograd.grad(x, student)[0] for x in (value, expected)))


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3, 4), torch.zeros(2, 3, 5)
    assert refusal(lambda: AKLLoss()(*shapes)) == (
        "`student` (2, 3, 4) and `teacher` (2, 3, 5) must have the same shape: "
        "logits of two tokenizers can be compared by ULDLoss, and of one tokenizer up to its last token"
    )
    assert refusal(lambda: AKLLoss(1.5)) == "`mass` must be >= 0 and <= 1, got 1.5"
    assert refusal(lambda: AKLLoss(mode="both")) == "`mode` must be 'paper' or 'code', got 'both'"
    assert refusal(lambda: AKLLoss(chunk=0)) == "`chunk` must be >= 1, got 0"


@pytest.mark.parametrize("mode", ["paper", "code"])
@pytest.mark.parametrize("mass", [0.0, 0.3, 0.5, 0.9])
def test_the_closed_form_is_that_of_autograd(mass: float, mode: str):
    """Also for equal logits, and for a class that both sides exclude."""
    student, teacher = 4 * torch.randn(2, 1, 5, 50, dtype=torch.float64)
    student[0, 1] = teacher[0, 1]
    student[0, 2, 3] = teacher[0, 2, 3] = -torch.inf
    student.requires_grad_()
    value = adaptive_kl(student[0], teacher[0], mass, mode).mean()
    (expected,) = torch.autograd.grad(value, student)
    found = AKLLoss(mass, mode)(student, teacher)
    (gradient,) = torch.autograd.grad(found, student)
    torch.testing.assert_close(found, value)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(
    ("mass", "mode", "head"), [(0.5, "paper", 3), (0.5, "code", 2), (0.1, "code", 1), (0.0, "paper", 0)]
)
def test_equally_probable_tokens_enter_the_head_in_order(mass: float, mode: str, head: int):
    teacher, student = torch.zeros(1, 5, dtype=torch.float64), torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]).double().log()
    errors = (student.softmax(-1) - 0.2).abs()[0]
    found = head_fraction(student, teacher, mass, mode)
    torch.testing.assert_close(found, (errors[:head].sum() / errors.sum())[None])
