"""DABLoss against loops over samples, channels and positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import DABLoss, activation_boundaries

from .cases import Case
from .derivations import assert_continuous, refusal


def maps(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 5, 4, 4)}


CASES = [
    Case(name="DABLoss", loss=DABLoss, inputs=maps),
    Case(name="DABLoss-given", loss=lambda: DABLoss(0.5, 3, 5), inputs=maps),
    Case(
        name="DABLoss-sizes",
        loss=DABLoss,
        inputs=lambda batch: {"student": torch.randn(batch, 3, 6, 2), "teacher": torch.randn(batch, 5, 3, 4)},
    ),
]


def slow(student: list[list[float]], teacher: list[list[float]], margin: float) -> float:
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        for s, t in zip(ours, theirs, strict=True):
            if t > 0 and s < margin:
                total += (s - margin) ** 2
            elif t <= 0 and s > -margin:
                total += (s + margin) ** 2
    return total / len(student)


numbers = st.sampled_from([-2.0, -1.0, -0.3, 0.0, 0.4, 1.0, 3.0])
rows = st.lists(st.tuples(*[st.tuples(numbers, numbers, numbers)] * 2), min_size=1, max_size=4)


@given(batch=rows, margin=st.floats(0, 3))
def test_equals_the_slow_derivation(batch: list, margin: float):
    student, teacher = ([list(pair[i]) for pair in batch] for i in (0, 1))
    value = activation_boundaries(*(torch.tensor(x, dtype=torch.float64) for x in (student, teacher)), margin)
    assert value.item() == pytest.approx(slow(student, teacher, margin), rel=1e-9, abs=1e-12)


def test_the_loss_is_that_of_the_connected_feature():
    inputs, loss = maps(4), DABLoss(0.7, 3, 5).eval()
    mapped = torch.einsum("bchw,dc->bdhw", inputs["student"], loss.connector.weight[:, :, 0, 0]) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(loss(**inputs), activation_boundaries(mapped, inputs["teacher"], 0.7))


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value.double() for name, value in maps(2).items()}
    loss = DABLoss(1.0, 3, 5).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())


@given(margin=st.floats(0, 3))
def test_is_continuous_in_the_margin(margin: float):
    student, teacher = torch.arange(24.0).double().sin().view(2, 4, 3)
    assert_continuous(lambda m: activation_boundaries(student, teacher, m), at=margin)


def test_a_student_beyond_the_margin_on_the_right_side_is_left_alone():
    teacher = torch.tensor([[3.0, -0.1, 0.0]])
    assert activation_boundaries(torch.tensor([[1.0, -1.0, -5.0]]), teacher).item() == 0


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: DABLoss(-1.0)) == "`margin` must be >= 0, got -1.0"
