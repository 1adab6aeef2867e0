"""DeiTLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import DeiTLoss, hard_label_cross_entropy

from .cases import Case
from .derivations import assert_continuous, kl, labelled_batches, refusal, softmax


def two_tokens(batch: int) -> dict:
    return {
        "student": [3 * torch.randn(batch, 5), 3 * torch.randn(batch, 5)],
        "teacher": 3 * torch.randn(batch, 5),
        "target": torch.randint(5, (batch,)),
    }


def one_head(batch: int) -> dict:
    inputs = two_tokens(batch)
    return {**inputs, "student": inputs["student"][0]}


def mixed(batch: int) -> dict:
    return {**two_tokens(batch), "target": torch.randn(batch, 5).softmax(1)}


CASES = [
    Case(name="DeiTLoss", loss=lambda: DeiTLoss(smoothing=0.1), inputs=two_tokens),
    Case(name="DeiTLoss-one_head", loss=DeiTLoss, inputs=one_head),
    Case(name="DeiTLoss-soft", loss=lambda: DeiTLoss(mode="soft"), inputs=two_tokens),
    Case(name="DeiTLoss-mixed", loss=DeiTLoss, inputs=mixed),
]


def slow(tokens, teacher, target, alpha: float, mode: str, temperature: float, smoothing: float) -> float:
    total = 0.0
    for c, d, t, y in zip(*(x.tolist() for x in (*tokens, teacher, target)), strict=True):
        labels = [smoothing / len(c) + (1 - smoothing) * (k == y) for k in range(len(c))]
        total -= (1 - alpha) * sum(u * math.log(p) for u, p in zip(labels, softmax(c), strict=True))
        if mode == "hard":
            total -= alpha * math.log(softmax(d)[t.index(max(t))])
        else:
            total += alpha * temperature**2 * kl(softmax(t, temperature), softmax(d, temperature))
    return total / len(target)


@pytest.mark.parametrize("mode", ["hard", "soft"])
@given(batch=labelled_batches(), alpha=st.floats(0, 1), temperature=st.floats(0.8, 10), smoothing=st.floats(0, 1))
def test_equals_the_slow_derivation(mode: str, batch: tuple, alpha: float, temperature: float, smoothing: float):
    student, teacher, target = batch
    tokens = [student, student.flip(1).sin()]
    value = DeiTLoss(alpha, mode, temperature, smoothing)(tokens, teacher, target)
    assert value.item() == pytest.approx(slow(tokens, teacher, target, alpha, mode, temperature, smoothing), rel=1e-8)


def test_one_head_is_both_tokens():
    inputs = one_head(4)
    twice = {**inputs, "student": [inputs["student"]] * 2}
    assert torch.equal(DeiTLoss()(**inputs), DeiTLoss()(**twice))


def test_each_token_learns_from_one_side_only():
    inputs = two_tokens(4)
    classes, distillation = (x.requires_grad_() for x in inputs["student"])
    DeiTLoss(0.0)(**inputs).backward()
    assert classes.grad.any()
    assert not distillation.grad.any()
    classes.grad = distillation.grad = None
    DeiTLoss(1.0)(**inputs).backward()
    assert distillation.grad.any()
    assert not classes.grad.any()


def test_one_hot_targets_equal_class_indices():
    inputs = two_tokens(4)
    one_hot = torch.nn.functional.one_hot(inputs["target"], 5).float()
    torch.testing.assert_close(DeiTLoss()(**{**inputs, "target": one_hot}), DeiTLoss()(**inputs))


def test_only_the_decision_of_the_teacher_counts():
    student, teacher = torch.randn(4, 5), torch.randn(4, 5)
    expected = hard_label_cross_entropy(student, teacher)
    assert torch.equal(hard_label_cross_entropy(student, 7 * teacher - 1), expected)


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_gradient_is_that_of_finite_differences(mode: str):
    c, d, teacher = torch.randn(3, 3, 4, dtype=torch.float64)
    loss, target = DeiTLoss(0.3, mode, 2.0, 0.1), torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda *s: loss(s, teacher, target), (c.requires_grad_(), d.requires_grad_()))


@pytest.mark.parametrize("value", [0.3, 0.5, 0.9])
def test_is_continuous_in_each_number(value: float):
    inputs = two_tokens(4)
    assert_continuous(lambda x: DeiTLoss(x)(**inputs), value)
    assert_continuous(lambda x: DeiTLoss(smoothing=x)(**inputs), value)
    assert_continuous(lambda x: DeiTLoss(mode="soft", temperature=x)(**inputs), value)


def test_refusals():
    logits, target = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    assert refusal(lambda: DeiTLoss()([logits] * 3, logits, target)) == (
        "`student` must be logits, or [class token's, distillation token's], got 3 tensors"
    )
    assert refusal(lambda: DeiTLoss()([logits, torch.zeros(2, 4)], logits, target)) == (
        "`student` (2, 4) and `teacher` (2, 3) must have the same shape"
    )
    assert refusal(lambda: DeiTLoss(alpha=1.5)) == "`alpha` must be >= 0 and <= 1, got 1.5"
    assert refusal(lambda: DeiTLoss(mode="mean")) == "`mode` must be 'hard' or 'soft', got 'mean'"
