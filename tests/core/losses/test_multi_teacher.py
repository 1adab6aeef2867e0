"""MultiTeacherKDLoss against loops over teachers and samples."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import KDLoss, MultiTeacherKDLoss

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def averaged(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 5), "teacher": [3 * torch.randn(batch, 5) for _ in range(3)]}


def routed(batch: int) -> dict:
    return {**averaged(batch), "index": torch.randint(3, (batch,))}


CASES = [
    Case(name="MultiTeacherKDLoss", loss=MultiTeacherKDLoss, inputs=averaged, at_temperature=MultiTeacherKDLoss),
    Case(name="MultiTeacherKDLoss-weights", loss=lambda: MultiTeacherKDLoss(2.0, [1, 0, 3]), inputs=averaged),
    Case(name="MultiTeacherKDLoss-routed", loss=MultiTeacherKDLoss, inputs=routed),
]


@given(
    seed=st.integers(0, 1000),
    temperature=st.floats(0.5, 5),
    weights=st.none() | st.lists(st.floats(0.1, 4) | st.just(0.0), min_size=3, max_size=3),
    routes=st.none() | st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_equals_the_slow_derivation(seed: int, temperature: float, weights: list | None, routes: list | None):
    if weights is not None and not any(weights):
        weights = None
    torch.manual_seed(seed)
    student, teachers = torch.randn(4, 5, dtype=torch.float64), list(torch.randn(3, 4, 5, dtype=torch.float64))
    total = 0.0
    for number, row in enumerate(student.tolist()):
        each = [softmax(teacher[number].tolist(), temperature) for teacher in teachers]
        shares = weights or [1.0, 1.0, 1.0]
        if routes is not None:
            shares = [float(k == routes[number]) for k in range(3)]
        p = [sum(w * q[c] for w, q in zip(shares, each, strict=True)) / sum(shares) for c in range(5)]
        total += kl(p, softmax(row, temperature))
    index = None if routes is None else torch.tensor(routes)
    value = MultiTeacherKDLoss(temperature, weights)(student, teachers, index)
    assert value.item() == pytest.approx(temperature**2 * total / 4, rel=1e-6, abs=1e-8)


def test_one_teacher_is_kd():
    student, teacher = torch.randn(2, 4, 5)
    torch.testing.assert_close(MultiTeacherKDLoss()(student, [teacher]), KDLoss()(student, teacher))


def test_a_teacher_of_weight_zero_is_not_heard():
    inputs = averaged(4)
    two = {**inputs, "teacher": inputs["teacher"][::2]}
    torch.testing.assert_close(MultiTeacherKDLoss(2.0, [1.0, 0.0, 1.0])(**inputs), MultiTeacherKDLoss(2.0)(**two))


def test_gradient_is_that_of_finite_differences():
    student, teachers = torch.randn(3, 4, dtype=torch.float64), list(torch.randn(2, 3, 4, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda s: MultiTeacherKDLoss()(s, teachers), student.requires_grad_())


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_is_continuous_in_each_number(value: float):
    inputs = averaged(4)
    assert_continuous(lambda x: MultiTeacherKDLoss(x)(**inputs), value + 0.5)
    assert_continuous(lambda x: MultiTeacherKDLoss(2.0, [x, 1.0, 1.0])(**inputs), value)


def test_what_makes_no_sense_is_refused():
    student, teachers = torch.zeros(2, 3), [torch.zeros(2, 3), torch.zeros(2, 4)]
    assert refusal(lambda: MultiTeacherKDLoss()(student, teachers)) == (
        "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    )
    assert refusal(lambda: MultiTeacherKDLoss(weights=[1.0])(student, teachers[:1] * 2)) == (
        "`weights` has 1 entries for 2 teachers: give one per teacher"
    )
    assert refusal(lambda: MultiTeacherKDLoss(weights=[-1.0])) == "`weights` must be >= 0, got -1.0"
    assert refusal(lambda: MultiTeacherKDLoss(weights=[0.0, 0.0])) == "`weights` must not all be 0"
    assert refusal(lambda: MultiTeacherKDLoss(0.0)) == "`temperature` must be > 0, got 0.0"
