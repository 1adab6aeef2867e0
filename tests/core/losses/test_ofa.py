"""OFALoss against loops over stages, samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import OFALoss, target_enhanced

from .cases import Case
from .derivations import assert_continuous, labelled_batches, refusal, softmax


def stages(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 6, 2, 2)],
        "teacher": 3 * torch.randn(batch, 5),
        "target": torch.randint(5, (batch,)),
    }


def tokens(batch: int) -> dict:
    return {**stages(batch), "student": [torch.randn(batch, 7, 3), torch.randn(batch, 4, 6)]}


CASES = [
    Case(name="OFALoss", loss=lambda: OFALoss(5, [3, 6], gamma=1.5), inputs=stages),
    Case(name="OFALoss-paper", loss=lambda: OFALoss(5, [3, 6], mode="paper"), inputs=stages),
    Case(name="OFALoss-sequences", loss=lambda: OFALoss(5, [3, 6], sequences=True), inputs=tokens),
]


def slow(student, teacher, target, gamma: float, mode: str) -> float:
    total = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        for c, (p, q) in enumerate(zip(softmax(t), softmax(s), strict=True)):
            others = p**gamma if mode == "code" else p
            wanted = (1 + p) ** gamma - (mode == "code") if c == y else others
            total -= wanted * math.log(q)
    return total / len(target)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(batch=labelled_batches(), gamma=st.floats(1, 3))
def test_equals_the_slow_derivation(mode: str, batch: tuple, gamma: float):
    value = target_enhanced(*batch, gamma, mode).mean()
    assert value.item() == pytest.approx(slow(*batch, gamma, mode), rel=1e-9)


def test_stages_add_up():
    loss, inputs = OFALoss(5, [3, 6]).eval(), stages(4)
    features = inputs.pop("student")
    each = [target_enhanced(head(x), **inputs).mean() for head, x in zip(loss.heads, features, strict=True)]
    torch.testing.assert_close(loss(features, **inputs), each[0] + each[1])


def test_modes_differ_by_the_cross_entropy_where_gamma_is_1():
    inputs = {**stages(4), "student": torch.randn(4, 5)}
    difference = target_enhanced(**inputs, mode="paper") - target_enhanced(**inputs, mode="code")
    expected = torch.nn.functional.cross_entropy(inputs["student"], inputs["target"], reduction="none")
    torch.testing.assert_close(difference, expected)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_gradient_is_that_of_finite_differences(mode: str):
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    target = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda s: target_enhanced(s, teacher, target, 1.5, mode), student.requires_grad_())


@pytest.mark.parametrize("gamma", [1.0, 1.5])
def test_is_continuous_in_the_power(gamma: float):
    inputs = {**stages(4), "student": torch.randn(4, 5)}
    assert_continuous(lambda x: target_enhanced(**inputs, gamma=x).mean(), gamma)


def test_what_makes_no_sense_is_refused():
    inputs = stages(2)
    assert refusal(lambda: OFALoss(5, [3])(**inputs)) == "`student` has 2 features for 1 stages: give one per stage"
    assert refusal(lambda: OFALoss(4, [3, 6])(**inputs)) == (
        "`student` (2, 4) and `teacher` (2, 5) must have the same shape"
    )
    assert refusal(lambda: OFALoss(5, [3], gamma=0.5)) == "`gamma` must be >= 1, got 0.5"
    assert refusal(lambda: OFALoss(5, [3], mode="both")) == "`mode` must be 'paper' or 'code', got 'both'"


def test_heads_of_sequences_see_each_sample_alone():
    assert [OFALoss(5, [3], sequences=sequences).reduction_scope for sequences in (False, True)] == ["local", "sample"]
