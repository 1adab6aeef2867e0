"""CWDLoss against loops over samples, channels and positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import CWDLoss, channel_divergence

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def maps(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 5, 3, 4), "teacher": 3 * torch.randn(batch, 5, 3, 4)}


def features(batch: int) -> dict:
    return {"student": 3 * torch.randn(batch, 3, 3, 4), "teacher": 3 * torch.randn(batch, 5, 3, 4)}


CASES = [
    Case(name="CWDLoss", loss=CWDLoss, inputs=maps, zero_at_equality=True, at_temperature=CWDLoss),
    Case(name="CWDLoss-align", loss=lambda: CWDLoss(1.0, align=True), inputs=features),
]


def slow(student: Tensor, teacher: Tensor, temperature: float) -> float:
    total, count = 0.0, 0
    for ours, theirs in zip(student, teacher, strict=True):
        for s, t in zip(ours, theirs, strict=True):
            total += kl(softmax(t.flatten().tolist(), temperature), softmax(s.flatten().tolist(), temperature))
            count += 1
    return temperature**2 * total / count


@given(shape=st.tuples(*[st.integers(1, 3)] * 4), temperature=st.floats(0.5, 20), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(shape: tuple[int, ...], temperature: float, seed: int):
    torch.manual_seed(seed)
    student, teacher = 3 * torch.randn(2, *shape, dtype=torch.float64)
    value = CWDLoss(temperature)(student, teacher).item()
    assert value == pytest.approx(slow(student, teacher, temperature), rel=1e-9, abs=1e-9)


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value.double() for name, value in maps(2).items()}
    assert torch.autograd.gradcheck(lambda s: CWDLoss()(s, inputs["teacher"]), inputs["student"].requires_grad_())


@given(temperature=st.floats(0.5, 20))
def test_is_continuous_in_the_temperature(temperature: float):
    inputs = {name: value.double() for name, value in maps(2).items()}
    assert_continuous(lambda t: CWDLoss(t)(**inputs), temperature)


def test_align_maps_the_channels_without_a_bias():
    loss, inputs = CWDLoss(align=True), features(2)
    mapped = torch.einsum("oi,bihw->bohw", (loss(**inputs), loss.regressor.weight)[1], inputs["student"])
    torch.testing.assert_close(loss(**inputs), CWDLoss()(mapped, inputs["teacher"]))
    assert loss.regressor.bias is None


def test_one_value_for_each_channel():
    assert channel_divergence(**maps(4)).shape == (4, 5)


def test_refusals():
    assert refusal(lambda: CWDLoss(0.0)) == "`temperature` must be > 0, got 0.0"
    assert (
        refusal(lambda: CWDLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, 4)))
        == "`student` (2, 3, 4, 4) and `teacher` (2, 4, 4, 4) must have the same shape"
    )
