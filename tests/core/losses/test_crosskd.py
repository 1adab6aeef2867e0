"""CrossKDLoss against loops over samples, classes and positions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from distill_core.losses import CrossKDLoss, aligned, box_distance, quality_focal, side_divergence

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def maps(batch: int) -> dict:
    return {"student": 2 * torch.randn(batch, 3, 4, 4) + 1, "teacher": torch.randn(batch, 3, 4, 4)}


def levels(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 3, 2, 2)],
        "teacher": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 3, 2, 2)],
        "mask": [torch.rand(batch, 4, 4), torch.rand(batch, 2, 2)],
    }


def head(out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, out, 1))


def boxes(**options) -> CrossKDLoss:
    return CrossKDLoss(nn.Sequential(head(4), nn.Softplus()), "boxes", **options)


CASES = [
    Case(name="CrossKDLoss", loss=lambda: CrossKDLoss(head(5), "classes"), inputs=maps, zero_at_equality=True),
    Case(name="CrossKDLoss-distributions", loss=lambda: CrossKDLoss(head(12), "distributions"), inputs=levels),
    Case(name="CrossKDLoss-boxes", loss=lambda: boxes(align=False), inputs=levels, zero_at_equality=True),
]


def positions(prediction: Tensor) -> list[list[float]]:
    return prediction.movedim(1, -1).flatten(0, -2).tolist()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slow_classes(student: list[float], teacher: list[float], beta: float) -> float:
    total = 0.0
    for x, y in zip(student, teacher, strict=True):
        p, q = sigmoid(x), sigmoid(y)
        total -= abs(p - q) ** beta * (q * math.log(p) + (1 - q) * math.log(1 - p))
    return total


def slow_sides(student: list[float], teacher: list[float], temperature: float) -> float:
    bins = len(student) // 4
    sides = [slice(side * bins, (side + 1) * bins) for side in range(4)]
    return (
        temperature**2 * sum(kl(softmax(teacher[s], temperature), softmax(student[s], temperature)) for s in sides) / 4
    )


def slow_boxes(student: list[float], teacher: list[float]) -> float:
    """With corners, around the point (0, 0)."""
    (a, b, c, d), (e, f, g, h) = ((-x, -y, z, w) for x, y, z, w in (student, teacher))
    common = (min(c, g) - max(a, e)) * (min(d, h) - max(b, f))
    union = (c - a) * (d - b) + (g - e) * (h - f) - common
    hull = (max(c, g) - min(a, e)) * (max(d, h) - min(b, f))
    return 1 - common / union + (hull - union) / hull


def slow(loss: CrossKDLoss, inputs: dict) -> float:
    total, count = 0.0, 0.0
    for s, t, m in zip(inputs["student"], inputs["teacher"], inputs["mask"], strict=True):
        ours, theirs = (positions(loss.head(feature)) for feature in (aligned(s, t) if loss.align else s, t))
        for x, y, w in zip(ours, theirs, m.flatten().tolist(), strict=True):
            if loss.compare == "classes":
                total += w * slow_classes(x, y, loss.beta)
            elif loss.compare == "distributions":
                total += w * slow_sides(x, y, loss.temperature)
            else:
                total += w * slow_boxes(x, y)
            count += w
    return total / count


@pytest.mark.parametrize("compare", ["classes", "distributions", "boxes"])
@given(parameter=st.floats(1, 5), align=st.booleans(), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(compare: str, parameter: float, align: bool, seed: int):
    torch.manual_seed(seed)
    rest = nn.Sequential(head(4), nn.Softplus()) if compare == "boxes" else head(8)
    loss = CrossKDLoss(rest, compare, beta=parameter, temperature=parameter, align=align).double()
    inputs = {name: [x.double() for x in value] for name, value in levels(2).items()}
    assert loss(**inputs).item() == pytest.approx(slow(loss, inputs), rel=1e-5)


@pytest.mark.parametrize("compare", ["classes", "distributions", "boxes"])
def test_gradient_is_that_of_finite_differences(compare: str):
    inputs = {name: value.double() for name, value in maps(1).items()}
    rest = nn.Sequential(head(4), nn.Softplus()) if compare == "boxes" else head(8)
    loss = CrossKDLoss(rest, compare).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, inputs["teacher"]), inputs["student"].requires_grad_())


def test_aligned_features_have_the_mean_and_deviation_of_the_teacher():
    student, teacher = maps(4)["student"], maps(4)["teacher"]
    result = aligned(student, teacher)
    torch.testing.assert_close(result.mean((0, 2, 3)), teacher.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(result.std((0, 2, 3)), teacher.std((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_scale_and_shift_of_the_student_are_irrelevant_when_aligned():
    loss, inputs = CrossKDLoss(head(5), "classes"), maps(4)
    changed = {**inputs, "student": 5 * inputs["student"] - 2}
    torch.testing.assert_close(loss(**changed), loss(**inputs), rtol=1e-4, atol=1e-5)
    assert not torch.isclose(CrossKDLoss(head(5), "classes", align=False)(**changed), loss(**inputs))


def test_the_head_is_constant_and_does_not_change():
    rest = head(5)
    loss, inputs = CrossKDLoss(rest, "classes").train(), maps(4)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    loss(**inputs)
    assert list(loss.parameters()) == []
    torch.testing.assert_close(dict(loss.state_dict()), before, rtol=0, atol=0)


def test_logits_as_mask_are_their_greatest_probability():
    loss, inputs = boxes(align=False), levels(2)
    logits = [torch.randn(2, 5, *m.shape[1:]) for m in inputs["mask"]]
    greatest = [torch.tensor([[[max(map(sigmoid, x[n, :, i, j].tolist())) for j in range(x.shape[3])]
                              for i in range(x.shape[2])] for n in range(2)]) for x in logits]  # fmt: skip
    result = loss(**{**inputs, "mask": logits})
    torch.testing.assert_close(result, loss(**{**inputs, "mask": greatest}))


def test_positions_without_weight_do_not_count():
    loss, inputs = CrossKDLoss(head(5), "classes", align=False), maps(4)
    mask = torch.zeros(4, 4, 4)
    mask[1] = 0.3
    only = {name: value[1:2] for name, value in inputs.items()}
    torch.testing.assert_close(loss(**inputs, mask=mask), loss(**only))
    assert loss(**inputs, mask=torch.zeros(4, 4, 4)).item() == 0


def test_boxes_apart_from_each_other_are_worse_than_one():
    thin, wide = torch.tensor([[1.0, 0.0, 1.0, 0.1]]), torch.tensor([[0.0, 1.0, 0.1, 1.0]])
    distance = box_distance(thin.view(1, 4, 1, 1), wide.view(1, 4, 1, 1))
    assert distance.item() > 1


@given(beta=st.floats(1, 5), temperature=st.floats(0.5, 20))
def test_is_continuous_in_beta_and_the_temperature(beta: float, temperature: float):
    student, teacher = 2 * torch.randn(2, 1, 8, 2, 2, dtype=torch.float64)
    assert_continuous(lambda b: quality_focal(student, teacher, b).sum(), beta)
    assert_continuous(lambda t: side_divergence(student, teacher, t).sum(), temperature)


def test_refusals():
    assert (
        refusal(lambda: CrossKDLoss(head(5), "class"))
        == "`compare` must be 'classes' or 'distributions' or 'boxes', got 'class'"
    )
    assert refusal(lambda: CrossKDLoss(head(5), "classes", beta=0.5)) == "`beta` must be >= 1, got 0.5"
    assert (
        refusal(lambda: CrossKDLoss(head(8), "distributions", temperature=0.0)) == "`temperature` must be > 0, got 0.0"
    )
    assert (
        refusal(lambda: CrossKDLoss(head(5), "classes")(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2)))
        == "`student` (1, 5, 4, 4) and `teacher` (1, 5, 2, 2) must have the same shape"
    )
