"""ULDLoss against loops over tokens; two tokenizers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import ULDLoss, sorted_distance

from .cases import Case
from .derivations import drawn_sequences, refusal, sequences, slow_sequences, softmax


def two_tokenisers(batch: int) -> dict:
    inputs = sequences(batch)
    masks = [inputs["mask"], torch.arange(6) >= 5 - torch.arange(batch)[:, None] % 3]
    return {"student": inputs["student"], "teacher": 2 * torch.randn(batch, 6, 9), "mask": masks}


CASES = [
    Case(name="ULDLoss", loss=ULDLoss, inputs=sequences, zero_at_equality=True),
    Case(name="ULDLoss-two_tokenisers", loss=lambda: ULDLoss(chunk=3), inputs=two_tokenisers),
]


def slow(p: list[float], q: list[float]) -> float:
    longest = max(len(p), len(q))
    ordered = [sorted(x, reverse=True) + [0.0] * (longest - len(x)) for x in (p, q)]
    return sum(abs(a - b) for a, b in zip(*ordered, strict=True))


@given(drawn=drawn_sequences())
def test_equals_the_slow_derivation(drawn: tuple):
    assert ULDLoss()(*drawn).item() == pytest.approx(slow_sequences(slow, *drawn), rel=1e-8, abs=1e-8)


@given(seed=st.integers(0, 1000))
def test_two_tokenisers_equal_the_slow_derivation(seed: int):
    torch.manual_seed(seed)
    student, teacher = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(3, 6, 8, dtype=torch.float64)
    masks = [torch.rand(3, 4) > 0.4, torch.rand(3, 6) > 0.4]
    values = []
    for sample in range(3):
        ours, theirs = student[sample][masks[0][sample]], teacher[sample][masks[1][sample]]
        values += [slow(softmax(t), softmax(s)) for s, t in zip(ours.tolist(), theirs.tolist(), strict=False)]
    expected = sum(values) / max(len(values), 1)
    assert ULDLoss(chunk=2)(student, teacher, masks).item() == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_without_masks_the_shorter_sequence_decides():
    student, teacher = torch.randn(2, 3, 5), torch.randn(2, 4, 5)
    torch.testing.assert_close(ULDLoss()(student, teacher), ULDLoss()(student, teacher[:, :3]))


def test_the_order_of_a_vocabulary_is_irrelevant():
    inputs = sequences(4)
    other = {**inputs, "teacher": inputs["teacher"][:, :, torch.randperm(7)]}
    torch.testing.assert_close(ULDLoss()(**inputs), ULDLoss()(**other))


def test_the_greatest_distance_is_two_less_what_all_share():
    certain, uniform = torch.tensor([[1e4, 0.0, 0.0, 0.0]]), torch.zeros(1, 4)
    assert sorted_distance(certain, uniform).item() == pytest.approx(2 * (1 - 1 / 4))


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: ULDLoss(chunk=4)(s, teacher), student.requires_grad_())


def test_what_makes_no_sense_is_refused():
    assert refusal(lambda: ULDLoss(chunk=0)) == "`chunk` must be >= 1, got 0"
