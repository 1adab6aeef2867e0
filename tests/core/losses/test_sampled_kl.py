"""SampledReverseKLLoss against loops over tokens; what its estimators and gradients estimate."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import ForwardKLLoss, ReverseKLLoss, SampledReverseKLLoss

from .cases import Case
from .derivations import drawn_sequences, refusal, softmax

ESTIMATORS = ["k1", "k2", "k3"]


def sampled(batch: int) -> dict[str, Tensor]:
    """Logits of both sides, sampled tokens and a mask."""
    mask = torch.arange(4) <= torch.arange(batch)[:, None] % 4
    logits = {"student": 2 * torch.randn(batch, 4, 7), "teacher": 2 * torch.randn(batch, 4, 7)}
    return {**logits, "target": torch.randint(7, (batch, 4)), "mask": mask}


def served(batch: int) -> dict[str, Tensor]:
    """The teacher's log-probabilities of the sampled tokens only."""
    inputs = sampled(batch)
    teacher = inputs["teacher"].log_softmax(-1).gather(-1, inputs["target"][..., None]).squeeze(-1)
    return {**inputs, "teacher": teacher}


CASES = [
    Case(name="SampledReverseKLLoss", loss=SampledReverseKLLoss, inputs=sampled, zero_at_equality=True),
    Case(name="SampledReverseKLLoss-served", loss=lambda: SampledReverseKLLoss("k1", chunk=3), inputs=served),
    Case(
        name="SampledReverseKLLoss-own",
        loss=lambda: SampledReverseKLLoss("k3", policy_gradient=False),
        inputs=served,
    ),
    Case(
        name="SampledReverseKLLoss-k2", loss=lambda: SampledReverseKLLoss("k2"), inputs=sampled, zero_at_equality=True
    ),
]


def slow(estimator: str, difference: float) -> float:
    if estimator == "k1":
        return difference
    return difference**2 / 2 if estimator == "k2" else math.exp(-difference) - 1 + difference


@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(drawn=drawn_sequences(), policy_gradient=st.booleans(), chunk=st.integers(1, 10))
def test_equals_the_slow_derivation(estimator: str, drawn: tuple, policy_gradient: bool, chunk: int):
    student, teacher, mask = drawn
    target = (student + 2 * teacher).argmin(-1)
    values = []
    for b, i in mask.nonzero().tolist():
        ours, theirs = (softmax(logits[b, i].tolist())[target[b, i]] for logits in (student, teacher))
        values.append(slow(estimator, math.log(ours) - math.log(theirs)))
    expected = sum(values) / len(values) if values else 0.0
    loss = SampledReverseKLLoss(estimator, policy_gradient=policy_gradient, chunk=chunk)
    assert loss(student, teacher, target, mask).item() == pytest.approx(expected, rel=1e-7, abs=1e-8)
    stored = teacher.log_softmax(-1).gather(-1, target[..., None]).squeeze(-1)
    torch.testing.assert_close(loss(student, stored, target, mask), loss(student, teacher, target, mask))


def expectation(loss: SampledReverseKLLoss) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The mean over all tokens, by their probabilities, of value and gradient; the logits."""
    student, teacher = torch.randn(2, 1, 1, 6, dtype=torch.float64)
    student.requires_grad_()
    value, gradient = torch.zeros(()).double(), torch.zeros_like(student)
    for token, probability in enumerate(student.detach().softmax(-1).flatten().tolist()):
        result = loss(student, teacher, torch.tensor([[token]]))
        value += probability * result.detach()
        gradient += probability * torch.autograd.grad(result, student)[0]
    return value, gradient, student, teacher


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_value_and_policy_gradient_are_unbiased_for_the_reverse_divergence(estimator: str):
    value, gradient, student, teacher = expectation(SampledReverseKLLoss(estimator))
    expected = ReverseKLLoss()(student, teacher)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, student)[0])


def test_own_gradients_are_those_of_nothing_and_of_the_forward_divergence():
    _, gradient, *_ = expectation(SampledReverseKLLoss("k1", policy_gradient=False))
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))
    _, gradient, student, teacher = expectation(SampledReverseKLLoss("k3", policy_gradient=False))
    torch.testing.assert_close(gradient, torch.autograd.grad(ForwardKLLoss()(student, teacher), student)[0])


def test_log_ratio_is_limited():
    student, target = torch.tensor([[[0.0, 60.0]]]), torch.tensor([[0]])
    value = SampledReverseKLLoss(max_log_ratio=5.0)(student, torch.zeros(1, 1), target)
    assert value.item() == pytest.approx(math.exp(5) - 6)


def test_ignored_targets_do_not_count():
    inputs = sampled(4)
    ignored = inputs["target"].masked_fill(~inputs["mask"], -100)
    without = SampledReverseKLLoss()(inputs["student"], inputs["teacher"], ignored)
    torch.testing.assert_close(without, SampledReverseKLLoss()(**inputs))
    assert SampledReverseKLLoss.count(ignored).item() == inputs["mask"].sum()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradient_is_that_of_finite_differences(estimator: str):
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    loss, target = (
        SampledReverseKLLoss(estimator, policy_gradient=False, chunk=4),
        torch.tensor([[1, -100, 3], [0, 2, 2]]),
    )
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, target), student.requires_grad_())


def test_refusals():
    logits, tokens = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)
    assert refusal(lambda: SampledReverseKLLoss()(logits, torch.zeros(2, 4), tokens)) == (
        "`teacher` must be log-probabilities (2, 3) or logits (2, 3, 4), got (2, 4)"
    )
    assert refusal(lambda: SampledReverseKLLoss()(logits, logits, tokens[:, :2])) == (
        "`student` (2, 3, 4) and `target` (2, 2) must be (batch, tokens, vocabulary) and (batch, tokens)"
    )
    assert refusal(lambda: SampledReverseKLLoss("k4")) == "`estimator` must be 'k1' or 'k2' or 'k3', got 'k4'"
    assert refusal(lambda: SampledReverseKLLoss(max_log_ratio=0.0)) == "`max_log_ratio` must be > 0, got 0.0"
