"""KDLSLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import KDLoss, KDLSLoss

from .cases import Case
from .derivations import assert_continuous, kl, labelled_batches, refusal, softmax


def logits(batch: int) -> dict:
    draws = {name: 3 * torch.randn(batch, 5) for name in ("student", "teacher")}
    return {**draws, "target": torch.randint(5, (batch,))}


CASES = [
    Case(name="KDLSLoss", loss=KDLSLoss, inputs=logits),
    Case(name="KDLSLoss-labels", loss=lambda: KDLSLoss(0.2, 0.3, 2.0), inputs=logits),
]


def slow(student: list, teacher: list, target: list[int], smoothing: float, alpha: float, temperature: float) -> float:
    total = 0.0
    for s, t, label in zip(student, teacher, target, strict=True):
        u = [(1 - smoothing) * (k == label) + smoothing / len(s) for k in range(len(s))]
        labels = -sum(a * math.log(b) for a, b in zip(u, softmax(s), strict=True))
        teaching = temperature**2 * kl(softmax(t, temperature), softmax(s, temperature))
        total += (1 - alpha) * labels + alpha * teaching
    return total / len(student)


@given(batch=labelled_batches(), smoothing=st.floats(0, 1), alpha=st.floats(0, 1), temperature=st.floats(0.5, 20))
def test_equals_the_slow_derivation(batch: tuple, smoothing: float, alpha: float, temperature: float):
    expected = slow(*(x.tolist() for x in batch), smoothing, alpha, temperature)
    value = KDLSLoss(smoothing, alpha, temperature)(*batch)
    assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    target = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda s: KDLSLoss(0.1, 0.6, 2.0)(s, teacher, target), student.requires_grad_())


@given(smoothing=st.floats(0, 0.99), alpha=st.floats(0, 0.99), temperature=st.floats(0.5, 20))
def test_is_continuous_in_all_three(smoothing: float, alpha: float, temperature: float):
    student, teacher = torch.arange(24.0).double().sin().view(2, 3, 4)
    target = torch.tensor([0, 3, 1])
    assert_continuous(lambda x: KDLSLoss(x, alpha, temperature)(student, teacher, target), at=smoothing)
    assert_continuous(lambda x: KDLSLoss(smoothing, x, temperature)(student, teacher, target), at=alpha)
    assert_continuous(lambda x: KDLSLoss(smoothing, alpha, x)(student, teacher, target), at=temperature)


def test_the_ends_of_alpha_are_the_two_parts():
    inputs = logits(6)
    smooth = torch.nn.functional.cross_entropy(inputs["student"], inputs["target"], label_smoothing=0.1)
    torch.testing.assert_close(KDLSLoss(0.1, 0.0, 4.0)(**inputs), smooth)
    plain = KDLoss(4.0)(inputs["student"], inputs["teacher"])
    torch.testing.assert_close(KDLSLoss(0.1, 1.0, 4.0)(**inputs), plain)


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: KDLSLoss(-0.1)) == "`smoothing` must be >= 0 and <= 1, got -0.1"
    assert refusal(lambda: KDLSLoss(alpha=2.0)) == "`alpha` must be >= 0 and <= 1, got 2.0"
    assert refusal(lambda: KDLSLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
