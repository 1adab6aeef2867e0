"""StandardisedLogits against loops over samples and classes, around several losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import DISTLoss, KDLoss, KDLSLoss, StandardisedLogits, standardise_logits

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def logits(batch: int) -> dict:
    return {name: 3 * torch.randn(batch, 5) for name in ("student", "teacher")}


def maps(batch: int) -> dict:
    return {name: 3 * torch.randn(batch, 5, 2, 3) for name in ("student", "teacher")}


CASES = [
    Case(
        name="StandardisedLogits",
        loss=lambda: StandardisedLogits(KDLoss(2.0)),
        inputs=logits,
        zero_at_equality=True,
        scale_invariant=True,
    ),
    Case(
        name="StandardisedLogits-maps",
        loss=lambda: StandardisedLogits(KDLoss(2.0, reduction="mean")),
        inputs=maps,
        zero_at_equality=True,
        scale_invariant=True,
    ),
    Case(
        name="StandardisedLogits-gathered",
        loss=lambda: StandardisedLogits(DISTLoss()),
        inputs=logits,
        zero_at_equality=True,
        scale_invariant=True,
    ),
    Case(
        name="StandardisedLogits-target",
        loss=lambda: StandardisedLogits(KDLSLoss()),
        inputs=lambda batch: {**logits(batch), "target": torch.randint(5, (batch,))},
        scale_invariant=True,
    ),
]


def standardised(row: list[float], eps: float) -> list[float]:
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in row) / (len(row) - 1))
    return [(x - mean) / (deviation + eps) for x in row]


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(2, 6)),
    temperature=st.floats(0.5, 10),
    eps=st.floats(1e-7, 1),
    seed=st.integers(0, 1000),
)
def test_equals_the_slow_derivation(shape: tuple[int, int], temperature: float, eps: float, seed: int):
    torch.manual_seed(seed)
    student, teacher = 5 * torch.randn(2, *shape, dtype=torch.float64)
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = (softmax(standardised(row, eps), temperature) for row in (t, s))
        total += temperature**2 * kl(p, q) / len(student)
    value = StandardisedLogits(KDLoss(temperature), eps)(student, teacher)
    assert value.item() == pytest.approx(total, rel=1e-9, abs=1e-9)


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64)
    loss = StandardisedLogits(KDLoss(2.0))
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


@given(eps=st.floats(1e-7, 1))
def test_is_continuous_in_eps(eps: float):
    student, teacher = torch.arange(24.0).double().sin().view(2, 3, 4)
    assert_continuous(lambda x: StandardisedLogits(KDLoss(2.0), x)(student, teacher), at=eps)


def test_mean_is_zero_and_deviation_one():
    result = standardise_logits(7 + 100 * torch.randn(4, 6, 2))
    torch.testing.assert_close(result.mean(1), torch.zeros(4, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(result.std(1), torch.ones(4, 2))


def test_composes_with_a_loss_that_takes_targets():
    inputs = logits(4)
    target = torch.tensor([0, 4, 2, 1])
    standard = {name: standardise_logits(value) for name, value in inputs.items()}
    torch.testing.assert_close(
        StandardisedLogits(KDLSLoss(0.1, 0.5))(**inputs, target=target), KDLSLoss(0.1, 0.5)(**standard, target=target)
    )


def test_what_it_is_for_several_processes_is_what_the_loss_inside_is():
    assert [StandardisedLogits(loss).reduction_scope for loss in (KDLoss(), DISTLoss())] == ["sample", "gathered"]


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3])
def test_equal_logits_become_zero_without_a_gradient(value: float):
    """As with a last layer that starts at zero; the formula alone would give gradients of 1/ε."""
    student = torch.full((3, 7), value, requires_grad=True)
    standard = standardise_logits(student)
    assert not standard.any()
    StandardisedLogits(KDLoss(2.0))(student, torch.randn(3, 7)).backward()
    assert not student.grad.any()


def test_refusals():
    assert refusal(lambda: StandardisedLogits(KDLoss(), eps=0.0)) == "`eps` must be > 0, got 0.0"


def test_several_processes_compute_what_the_loss_inside_does():
    assert [StandardisedLogits(loss).reduction_scope for loss in (KDLoss(), DISTLoss())] == ["sample", "gathered"]


def test_several_views_are_refused():
    views = [torch.randn(2, 3)] * 2
    message = "`student` and `teacher` must be tensors, not lists: for several views use MLKDLoss(standardise=True)"
    assert refusal(lambda: StandardisedLogits(KDLoss())(views, views)) == message
