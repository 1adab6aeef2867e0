"""CLIPKDLoss against loops over pairs of images and texts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import CLIPKDLoss

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def pairs(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 6), torch.randn(batch, 6)],
        "teacher": [torch.randn(batch, 6), torch.randn(batch, 6)],
    }


def narrow(batch: int) -> dict:
    inputs = pairs(batch)
    return {**inputs, "student": [x[:, :4] for x in inputs["student"]]}


def projected(**options) -> CLIPKDLoss:
    return CLIPKDLoss(20.0, student_features=4, teacher_features=6, **options)


CASES = [
    Case(name="CLIPKDLoss", loss=lambda: CLIPKDLoss(20.0, student_scale=10.0, teacher_scale=10.0), inputs=pairs),
    Case(name="CLIPKDLoss-projected", loss=projected, inputs=narrow),
    Case(
        name="CLIPKDLoss-affinities",
        loss=lambda: CLIPKDLoss(0.0, 1.0, 0.0, student_scale=10.0, teacher_scale=10.0),
        inputs=pairs,
        zero_at_equality=True,
        scale_invariant=True,
    ),
]


def unit(rows: list[list[float]]) -> list[list[float]]:
    return [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]


def products(rows: list[list[float]], columns: list[list[float]], scale: float) -> list[list[float]]:
    return [[scale * sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in rows]


def slow(loss: CLIPKDLoss, student: list[Tensor], teacher: list[Tensor], scales: tuple[float, float, float]) -> float:
    images, texts = (unit(x.tolist()) for x in student)
    layers = loss.projections or [lambda x, like: x] * 2
    ours = [unit(layer(x, like=x).tolist()) for layer, x in zip(layers, student, strict=True)]
    theirs = [unit(x.tolist()) for x in teacher]
    count, total = len(images), 0.0
    for mine, other in zip(ours, theirs, strict=True):
        elements = [(a - b) ** 2 for x, y in zip(mine, other, strict=True) for a, b in zip(x, y, strict=True)]
        total += loss.feature_weight * sum(elements) / len(elements)
    for one, other, first, second in ((images, texts, *theirs), (texts, images, *theirs[::-1])):
        rows = zip(products(first, second, scales[1]), products(one, other, scales[0]), strict=True)
        total += loss.relational_weight * sum(kl(softmax(t), softmax(s)) for t, s in rows) / count / 2
    for mine, other in ((ours[0], theirs[1]), (ours[1], theirs[0])):
        rows = enumerate(products(mine, other, scales[2]))
        total -= loss.interactive_weight * sum(math.log(softmax(row)[i]) for i, row in rows) / count / 2
    return total


@pytest.mark.parametrize("project", [False, True])
@given(seed=st.integers(0, 1000), scales=st.tuples(*[st.floats(0.5, 10)] * 3))
def test_equals_the_slow_derivation(project: bool, seed: int, scales: tuple[float, float, float]):
    torch.manual_seed(seed)
    options = {"student_features": 4, "teacher_features": 6} if project else {}
    loss = CLIPKDLoss(3.0, 2.0, 0.5, scale=scales[2], **options).double()
    inputs = {name: [x.double() for x in side] for name, side in (narrow if project else pairs)(4).items()}
    given_scales = {
        name: [*side, torch.tensor(scale).double()] for (name, side), scale in zip(inputs.items(), scales, strict=False)
    }
    assert loss(**given_scales).item() == pytest.approx(slow(loss, **inputs, scales=scales), rel=1e-6)


def test_given_scales_are_those_of_the_constructor():
    inputs = pairs(4)
    loss = CLIPKDLoss(student_scale=3.0, teacher_scale=7.0)
    scaled = {name: [*side, torch.tensor(x)] for (name, side), x in zip(inputs.items(), (3.0, 7.0), strict=True)}
    torch.testing.assert_close(loss(**scaled), loss(**inputs))


def test_gradient_is_that_of_finite_differences():
    images, texts, *teacher = torch.randn(4, 3, 4, dtype=torch.float64)
    loss = CLIPKDLoss(2.0, student_scale=3.0, teacher_scale=3.0).double()
    given = (images.requires_grad_(), texts.requires_grad_())
    assert torch.autograd.gradcheck(lambda *s: loss(s, teacher), given)


@pytest.mark.parametrize("value", [0.5, 1.0, 10.0])
def test_is_continuous_in_each_number(value: float):
    inputs = pairs(4)
    for name in (
        "feature_weight",
        "relational_weight",
        "interactive_weight",
        "scale",
        "student_scale",
        "teacher_scale",
    ):
        assert_continuous(lambda x, name=name: CLIPKDLoss(**{name: x})(**inputs), value, tolerance=1e-2)


def test_refusals():
    inputs = pairs(4)
    assert refusal(lambda: CLIPKDLoss()(inputs["student"][0], inputs["teacher"])) == (
        "`student` must be [images, texts] of shape (batch, features), or [images, texts, logit scale]"
    )
    assert refusal(lambda: CLIPKDLoss()(**narrow(4))) == (
        "`student` (4, 4) and `teacher` (4, 6) must have the same shape"
    )
    assert refusal(lambda: CLIPKDLoss(student_features=4)) == (
        "`student_features` and `teacher_features` must both be given, or neither"
    )
    assert refusal(lambda: CLIPKDLoss(scale=0.0)) == "`scale` must be > 0, got 0.0"
