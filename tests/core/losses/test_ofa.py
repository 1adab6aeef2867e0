"""OFALoss and OFALogitsLoss against loops over stages, samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import OFALogitsLoss, OFALoss, target_enhanced

from .cases import Case
from .derivations import assert_continuous, labelled_batches, refusal, softmax


def stages(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 6, 2, 2)],
        "teacher": 3 * torch.randn(batch, 5),
        "target": torch.randint(5, (batch,)),
    }


def logits(batch: int) -> dict:
    return {**stages(batch), "student": torch.randn(batch, 5)}


def tokens(batch: int) -> dict:
    return {**stages(batch), "student": [torch.randn(batch, 7, 3), torch.randn(batch, 4, 6)]}


CASES = [
    Case(name="OFALoss", loss=lambda: OFALoss(5, [3, 6], gamma=1.5), inputs=stages),
    Case(name="OFALoss-paper", loss=lambda: OFALoss(5, [3, 6], mode="paper"), inputs=stages),
    Case(name="OFALoss-sequences", loss=lambda: OFALoss(5, [3, 6], sequences=True), inputs=tokens),
    Case(name="OFALogitsLoss", loss=lambda: OFALogitsLoss(1.5, 2.0), inputs=logits),
    Case(name="OFALogitsLoss-paper", loss=lambda: OFALogitsLoss(mode="paper"), inputs=logits),
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
@given(batch=labelled_batches(), gamma=st.floats(1, 3), temperature=st.floats(0.5, 4))
def test_equals_the_slow_derivation(mode: str, batch: tuple, gamma: float, temperature: float):
    student, teacher, target = batch
    expected = slow(student / temperature, teacher / temperature, target, gamma, mode)
    assert target_enhanced(*batch, gamma, mode, temperature).mean().item() == pytest.approx(expected, rel=1e-9)
    assert OFALogitsLoss(gamma, temperature, mode)(*batch).item() == pytest.approx(expected, rel=1e-9)


def test_stages_add_up():
    loss, inputs = OFALoss(5, [3, 6]).eval(), stages(4)
    features = inputs.pop("student")
    each = [target_enhanced(head(x), **inputs).mean() for head, x in zip(loss.heads, features, strict=True)]
    torch.testing.assert_close(loss(features, **inputs), each[0] + each[1])


def test_each_stage_has_its_gamma_and_all_have_one_temperature():
    loss, inputs = OFALoss(5, [3, 6], [1.0, 1.5], temperature=2.0).eval(), stages(4)
    pairs = zip(loss.heads, inputs["student"], strict=True)
    first, second = (head(x) / 2 for head, x in pairs)
    teacher, target = inputs["teacher"] / 2, inputs["target"]
    expected = slow(first, teacher, target, 1.0, "code") + slow(second, teacher, target, 1.5, "code")
    assert loss(**inputs).item() == pytest.approx(expected, rel=1e-5)


def test_default_heads_are_those_of_the_last_stages():
    blocks = [len(head.body) for head in OFALoss(5, [3, 6, 12]).heads[:2]]
    assert blocks == [2, 1]
    assert {head.linear.in_features for head in OFALoss(5, [3, 6, 12]).heads} == {12}
    assert {head.linear.in_features for head in OFALoss(5, [3, 6, 12], width=20).heads} == {20}


def test_heads_may_be_any_modules():
    heads = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(5)) for _ in range(2)]
    loss, inputs = OFALoss(heads=heads), stages(4)
    features = inputs.pop("student")
    each = [target_enhanced(head(x), **inputs).mean() for head, x in zip(heads, features, strict=True)]
    torch.testing.assert_close(loss(features, **inputs), each[0] + each[1])
    assert loss.reduction_scope == "sample"


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
    inputs = {**stages(2), "target": torch.tensor([0, 3])}
    assert refusal(lambda: OFALoss(5, [3])(**inputs)) == "`student` has 2 features for 1 stages: give one per stage"
    assert refusal(lambda: OFALoss(4, [3, 6])(**inputs)) == (
        "`student` (2, 4) and `teacher` (2, 5) must have the same shape"
    )
    assert refusal(lambda: OFALoss(5, [3], gamma=0.5)) == "`gamma` must be >= 1, got 0.5"
    assert refusal(lambda: OFALoss(5, [3], gamma=[0.5])) == "`gamma` must be >= 1, got 0.5"
    assert refusal(lambda: OFALoss(5, [3], gamma=[1.0, 1.5])) == (
        "`gamma` has 2 numbers for 1 stages: give one, or one per stage"
    )
    assert refusal(lambda: OFALoss(5)) == "`num_classes` and `channels` are missing: give both, or `heads`"
    assert refusal(lambda: OFALoss(5, heads=[torch.nn.Identity()])) == (
        "`heads` replaces `num_classes`, `channels`, `width` and `sequences`: give either"
    )
    assert refusal(lambda: OFALoss(5, [3], mode="both")) == "`mode` must be 'paper' or 'code', got 'both'"


def test_heads_of_sequences_see_each_sample_alone():
    scopes = [OFALoss(5, [3, 6], sequences=sequences).reduction_scope for sequences in (False, True)]
    assert scopes == ["local", "sample"]
