"""RSKDLoss against loops over tokens; its expectation."""

from __future__ import annotations

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.cache import Sampled
from distill_core.losses import ForwardKLLoss, RSKDLoss

from .cases import Case
from .derivations import drawn_sequences, refusal, sequences, softmax


def drawn(inputs: dict, n: int) -> dict:
    codec, rows = Sampled(n), len(inputs["teacher"])
    kept = codec.decode(codec.encode(inputs["teacher"], torch.arange(rows)), inputs["teacher"].dtype)
    return {**inputs, "teacher": kept["weights"], "index": kept["index"]}


def of_classes(batch: int) -> dict:
    return drawn({"student": torch.randn(batch, 7), "teacher": torch.randn(batch, 7)}, 4)


CASES = [
    Case(name="RSKDLoss", loss=RSKDLoss, inputs=lambda batch: drawn(sequences(batch), 5)),
    Case(name="RSKDLoss-classes", loss=RSKDLoss, inputs=of_classes),
]


@given(sample=drawn_sequences(), n=st.integers(1, 5))
def test_equals_the_slow_derivation(sample: tuple, n: int):
    student, teacher, mask = sample
    inputs = drawn({"student": student, "teacher": teacher, "mask": mask}, n)
    total = 0.0
    for s, chosen in zip(*(x[mask].tolist() for x in (student, inputs["index"])), strict=True):
        q = softmax(s)
        total -= sum(log(q[number]) for number in chosen) / n
    assert RSKDLoss()(**inputs).item() == pytest.approx(total / max(mask.sum().item(), 1), rel=1e-7, abs=1e-7)


def test_gradient_is_on_average_that_of_the_forward_divergence():
    teacher, student = torch.randn(1, 1, 9, dtype=torch.float64), torch.zeros(1, 1, 9, dtype=torch.float64)
    (wanted,) = torch.autograd.grad(ForwardKLLoss()(student.requires_grad_(), teacher), student)
    many = {"student": student.expand(4000, 1, 9), "teacher": teacher.expand(4000, 1, 9)}
    (found,) = torch.autograd.grad(RSKDLoss()(**drawn(many, 3)), student)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.01)


def test_classes_are_sequences_of_one():
    torch.manual_seed(0)
    inputs = of_classes(5)
    mask = torch.tensor([True, False, True, True, False])
    longer = {name: value.unsqueeze(1) for name, value in inputs.items()}
    assert torch.equal(RSKDLoss()(**inputs, mask=mask), RSKDLoss()(**longer, mask=mask[:, None]))


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    inputs = drawn({"teacher": teacher}, 3)
    assert torch.autograd.gradcheck(lambda s: RSKDLoss(chunk=4)(s, **inputs), student.requires_grad_())


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 9), torch.zeros(2, 4), torch.zeros(2, 5, dtype=torch.long)
    assert refusal(lambda: RSKDLoss()(*shapes)) == (
        "`student` (2, 9), `teacher` (2, 4) and `index` (2, 5) must be "
        "(batch, tokens, vocabulary), (batch, tokens, n) and (batch, tokens, n)"
    )
    assert refusal(lambda: RSKDLoss(chunk=0)) == "`chunk` must be >= 1, got 0"
