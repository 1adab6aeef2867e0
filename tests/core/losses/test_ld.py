"""LDLoss against loops over positions and edges; the valuable localisation region against loops over anchors."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from distill_core.losses import CrossKDLoss, LDLoss, valuable_region

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def edges(batch: int) -> dict:
    logits = {"student": 3 * torch.randn(batch, 12, 3, 4), "teacher": 3 * torch.randn(batch, 12, 3, 4)}
    return {**logits, "mask": torch.rand(batch, 3, 4)}


def levels(batch: int) -> dict:
    sizes = [(3, 4), (2, 2)]
    return {
        "student": [2 * torch.randn(batch, 20, *size) for size in sizes],
        "teacher": [2 * torch.randn(batch, 20, *size) for size in sizes],
        "mask": [torch.rand(batch, *size) for size in sizes],
    }


CASES = [
    Case(name="LDLoss", loss=LDLoss, inputs=edges, zero_at_equality=True, at_temperature=LDLoss),
    Case(name="LDLoss-levels", loss=lambda: LDLoss(2.0), inputs=levels, zero_at_equality=True),
]


def slow(student: list[Tensor], teacher: list[Tensor], mask: list[Tensor], temperature: float) -> float:
    total, count = 0.0, 0.0
    for s, t, m in zip(student, teacher, mask, strict=True):
        bins = s.shape[1] // 4
        rows = (x.movedim(1, -1).flatten(0, -2).tolist() for x in (s, t))
        for x, y, w in zip(*rows, m.flatten().tolist(), strict=True):
            for edge in range(4):
                part = slice(edge * bins, (edge + 1) * bins)
                total += w * temperature**2 * kl(softmax(y[part], temperature), softmax(x[part], temperature)) / 4
            count += w
    return total / count


@given(seed=st.integers(0, 1000), temperature=st.floats(0.8, 20))
def test_equals_the_slow_derivation(seed: int, temperature: float):
    torch.manual_seed(seed)
    inputs = {name: [x.double() for x in value] for name, value in levels(2).items()}
    assert LDLoss(temperature)(**inputs).item() == pytest.approx(slow(**inputs, temperature=temperature), rel=1e-8)


def test_is_the_divergence_of_crosskd_without_a_head():
    inputs = levels(2)
    other = CrossKDLoss(nn.Identity(), "distributions", temperature=10.0, align=False)
    torch.testing.assert_close(LDLoss()(**inputs), other(**inputs))


def test_positions_without_weight_do_not_count():
    inputs, mask = edges(4), torch.zeros(4, 3, 4)
    del inputs["mask"]
    mask[1] = 0.3
    only = {name: value[1:2] for name, value in inputs.items()}
    torch.testing.assert_close(LDLoss()(**inputs, mask=mask), LDLoss()(**only))
    assert LDLoss()(**inputs, mask=torch.zeros(4, 3, 4)).item() == 0


def overlap(a: list[float], b: list[float], *, distance: bool) -> float:
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    iou = common / (sum(areas) - common)
    if not distance:
        return iou
    apart = sum(((a[k] + a[k + 2]) / 2 - (b[k] + b[k + 2]) / 2) ** 2 for k in (0, 1))
    hull = sum((max(a[k + 2], b[k + 2]) - min(a[k], b[k])) ** 2 for k in (0, 1))
    return iou - apart / hull


def slow_region(anchors: list[list[list[float]]], boxes: list[list[float]], fraction: float, num: int) -> list[float]:
    weights = [0.0] * sum(map(len, anchors))
    for box in boxes:
        candidates = []
        for level in anchors:
            order = sorted(level, key=lambda a: sum((a[k] + a[k + 2] - box[k] - box[k + 2]) ** 2 for k in (0, 1)))
            candidates += [overlap(anchor, box, distance=False) for anchor in order[:num]]
        threshold = statistics.mean(candidates) + statistics.stdev(candidates)
        for number, anchor in enumerate(anchor for level in anchors for anchor in level):
            if fraction * threshold <= overlap(anchor, box, distance=True) < threshold:
                weights[number] = max(weights[number], overlap(anchor, box, distance=False))
    return weights


@given(seed=st.integers(0, 1000), fraction=st.floats(0, 1), num=st.integers(2, 12), objects=st.integers(1, 4))
def test_region_equals_the_slow_derivation(seed: int, fraction: float, num: int, objects: int):
    torch.manual_seed(seed)

    def boxes(count: int) -> Tensor:
        corner = 40 * torch.rand(count, 2, dtype=torch.float64)
        return torch.cat([corner, corner + 4 + 30 * torch.rand(count, 2, dtype=torch.float64)], dim=1)

    anchors, targets = [boxes(10), boxes(5)], boxes(objects)
    expected = slow_region([level.tolist() for level in anchors], targets.tolist(), fraction, num)
    weights = torch.cat(valuable_region(anchors, targets, fraction, num))
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))


def test_an_image_without_objects_has_no_region():
    weights = valuable_region([torch.rand(6, 4), torch.rand(3, 4)], torch.zeros(0, 4))
    assert [x.shape for x in weights] == [(6,), (3,)]
    assert not torch.cat(weights).any()


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value.double() for name, value in edges(1).items()}
    assert torch.autograd.gradcheck(lambda s: LDLoss(2.0)(s, inputs["teacher"]), inputs["student"].requires_grad_())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 10.0])
def test_is_continuous_in_the_temperature(temperature: float):
    inputs = edges(2)
    assert_continuous(lambda x: LDLoss(x)(**inputs), temperature)


def test_refusals():
    assert refusal(lambda: LDLoss(0.0)) == "`temperature` must be > 0, got 0.0"
    assert refusal(lambda: LDLoss()(torch.zeros(1, 8, 2, 2), torch.zeros(1, 8, 1, 1))) == (
        "`student` (1, 8, 2, 2) and `teacher` (1, 8, 1, 1) must have the same shape"
    )
    assert refusal(lambda: LDLoss()(torch.zeros(1, 6, 2, 2), torch.zeros(1, 6, 2, 2))) == (
        "`student` must have 4 · bins channels, got shape (1, 6, 2, 2)"
    )
