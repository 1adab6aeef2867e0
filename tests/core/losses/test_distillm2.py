"""DistiLLM2Loss against loops over responses and tokens."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import DistiLLM2Loss, SkewedKLLoss, SkewedReverseKLLoss

from .cases import Case
from .derivations import assert_continuous, drawn_sequences, kl, refusal, sequences, softmax


def responses(batch: int) -> dict:
    """Responses of the teacher and of the student in turns."""
    return {**sequences(batch), "index": torch.arange(batch) % 2}


def with_targets(batch: int) -> dict:
    return {**responses(batch), "target": torch.randint(7, (batch, 4))}


def with_gaps() -> DistiLLM2Loss:
    return DistiLLM2Loss(0.3, 0.7, teacher_gap=0.05, student_gap=0.02, mode="code", chunk=3)


CASES = [
    Case(name="DistiLLM2Loss", loss=DistiLLM2Loss, inputs=responses, zero_at_equality=True),
    Case(name="DistiLLM2Loss-gaps", loss=with_gaps, inputs=with_targets, zero_at_equality=True),
]


def slow(student, teacher, index, target, mask, skew: float, beta: float, gaps: list[float] | None) -> float:
    values = []
    for b, own in enumerate(index.tolist()):
        counted = mask[b].nonzero().flatten().tolist()
        p, q = ([softmax(x[b, i].tolist()) for i in counted] for x in (teacher, student))
        alpha = skew
        if gaps is not None and counted:
            means = [sum(math.log(x[target[b, i]]) for i, x in zip(counted, side, strict=True)) for side in (p, q)]
            first, second = (math.exp(mean / len(counted)) for mean in (means[::-1] if own else means))
            alpha = min(skew, max(0.01, 1 - (1 - skew) * gaps[own] / (first - second + 1e-5)))
        for x, y in zip(p, q, strict=True):
            one, other = (y, x) if own else (x, y)
            mixture = [alpha * u + (1 - alpha) * v for u, v in zip(one, other, strict=True)]
            values.append(2 * (beta if own else 1 - beta) * kl(one, mixture))
    return sum(values) / len(values) if values else 0.0


@pytest.mark.parametrize("gaps", [None, [0.05, 0.2]])
@pytest.mark.parametrize("mode", ["paper", "code"])
@given(drawn=drawn_sequences(), skew=st.floats(0.02, 0.98), beta=st.floats(0, 1))
def test_equals_the_slow_derivation(mode: str, gaps: list[float] | None, drawn: tuple, skew: float, beta: float):
    student, teacher, mask = drawn
    index, target = torch.arange(len(mask)) % 2, (student - teacher).argmax(-1)
    given_gaps = {} if gaps is None else {"teacher_gap": gaps[0], "student_gap": gaps[1]}
    loss = DistiLLM2Loss(skew, beta, **given_gaps, mode=mode)
    expected = slow(student, teacher, index, target, mask, skew, beta, gaps)
    assert loss(student, teacher, index, target, mask).item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_one_kind_of_responses_is_a_skewed_divergence():
    inputs = responses(4)
    plain = {name: value for name, value in inputs.items() if name != "index"}
    for own, loss in enumerate((SkewedKLLoss(), SkewedReverseKLLoss())):
        index = torch.full((4,), own)
        torch.testing.assert_close(DistiLLM2Loss()(**{**inputs, "index": index}), loss(**plain))


def test_modes_have_one_value_and_different_gradients_of_student_responses():
    inputs = responses(4)
    inputs["student"].requires_grad_()
    losses = [DistiLLM2Loss(mode=mode)(**inputs) for mode in ("paper", "code")]
    assert torch.equal(*losses)
    gradients = [torch.autograd.grad(loss, inputs["student"])[0] for loss in losses]
    torch.testing.assert_close(gradients[0][::2], gradients[1][::2])
    assert not torch.isclose(gradients[0][1], gradients[1][1]).all()


def test_beta_can_be_scheduled():
    loss, inputs = DistiLLM2Loss(), responses(4)
    loss.beta = 0.75
    assert torch.equal(loss(**inputs), DistiLLM2Loss(beta=0.75)(**inputs))


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    loss, index = DistiLLM2Loss(0.3, 0.7, chunk=4), torch.tensor([0, 1])
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, index), student.requires_grad_())


@pytest.mark.parametrize("value", [0.1, 0.5, 0.9])
def test_is_continuous_in_each_number(value: float):
    inputs = with_targets(4)
    assert_continuous(lambda x: DistiLLM2Loss(x)(**inputs), value)
    assert_continuous(lambda x: DistiLLM2Loss(beta=x)(**inputs), value)
    assert_continuous(lambda x: DistiLLM2Loss(0.5, teacher_gap=x, student_gap=x)(**inputs), value)


def test_refusals():
    logits, index = torch.zeros(2, 3, 4), torch.tensor([0, 1])
    assert refusal(lambda: DistiLLM2Loss()(logits, logits, index[:1])) == (
        "`index` must be (batch,), (2,) for `student` of shape (2, 3, 4), got (1,)"
    )
    assert refusal(lambda: DistiLLM2Loss(teacher_gap=0.1)(logits, logits, index)) == (
        "`target` is needed with `teacher_gap` or `student_gap`"
    )
    assert refusal(lambda: DistiLLM2Loss(skew=1.0)) == "`skew` must be > 0 and < 1, got 1.0"
    assert refusal(lambda: DistiLLM2Loss(mode="both")) == "`mode` must be 'paper' or 'code', got 'both'"
