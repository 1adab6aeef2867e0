"""FGDLoss against loops over samples, channels, positions and boxes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from distill_core.losses import FGDLoss, box_scales, focal_attention

from .cases import Case
from .derivations import assert_continuous, refusal

WEIGHTS = {"object_weight": 0.5, "background_weight": 0.25, "attention_weight": 0.1, "global_weight": 0.02}


def boxes(batch: int) -> Tensor:
    """Up to three boxes an image, corners at multiples of 1/16 so that they are exact in half precision."""
    corners = torch.randint(0, 17, (batch, 3, 2, 2)).sort(dim=2).values / 16
    return corners.flatten(2)


def levels(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 3, 2, 3)],
        "teacher": [torch.randn(batch, 4, 4, 4), torch.randn(batch, 4, 2, 3)],
        "target": boxes(batch),
    }


def equal(batch: int) -> dict:
    inputs = levels(batch)
    return {**inputs, "student": [torch.randn_like(feature) for feature in inputs["teacher"]]}


def fgd(**options) -> FGDLoss:
    """With context blocks that are no longer the identity, so that all of them learns."""
    loss = FGDLoss(4, levels=2, **{**WEIGHTS, **options})
    for block in (*loss.student_contexts, *loss.teacher_contexts):
        nn.init.normal_(block.second.weight, std=0.5)
    return loss


CASES = [
    Case(name="FGDLoss", loss=lambda: fgd(student_channels=3), inputs=levels),
    Case(name="FGDLoss-same_channels", loss=fgd, inputs=equal),
    Case(
        name="FGDLoss-pixels",
        loss=lambda: fgd(student_channels=3, image_size=(32, 64)),
        inputs=lambda batch: {**levels(batch), "target": boxes(batch) * torch.tensor([64.0, 32.0, 64.0, 32.0])},
    ),
]


def slow_scales(rectangles: list[list[float]], height: int, width: int) -> tuple[list, list]:
    objects = [[0.0] * width for _ in range(height)]
    for left, top, right, bottom in rectangles:
        if right <= left or bottom <= top:
            continue
        columns = range(math.floor(left * width), math.ceil(right * width))
        rows = range(math.floor(top * height), math.ceil(bottom * height))
        for y in rows:
            for x in columns:
                objects[y][x] = max(objects[y][x], 1 / (len(rows) * len(columns)))
    outside = sum(value == 0 for row in objects for value in row)
    return objects, [[1 / outside if value == 0 else 0.0 for value in row] for row in objects]


def slow_softmax(values: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in values]
    return [len(values) * power / sum(powers) for power in powers]


def slow_attention(feature: Tensor, temperature: float) -> tuple[list[float], list[float]]:
    strength = [[abs(x) for x in channel.flatten().tolist()] for channel in feature]
    positions = [sum(column) / len(strength) for column in zip(*strength, strict=True)]
    return slow_softmax(positions, temperature), slow_softmax([sum(row) / len(row) for row in strength], temperature)


@torch.no_grad()
def slow(student: Tensor, teacher: Tensor, rectangles: Tensor, loss: FGDLoss, level: int) -> float:
    """For a student of the teacher's channels."""
    height, width = teacher.shape[2:]
    contexts = loss.student_contexts[level](student), loss.teacher_contexts[level](teacher)
    total = 0.0
    for n in range(len(teacher)):
        objects, background = slow_scales(rectangles[n].tolist(), height, width)
        (a_s, c_s), (a_t, c_t) = (slow_attention(f[n], loss.temperature) for f in (student, teacher))
        for c in range(teacher.shape[1]):
            for y in range(height):
                for x in range(width):
                    share = loss.object_weight * objects[y][x] + loss.background_weight * background[y][x]
                    square = (student[n, c, y, x] - teacher[n, c, y, x]).item() ** 2
                    total += share * a_t[y * width + x] * c_t[c] * square
                    total += loss.global_weight * (contexts[0] - contexts[1])[n, c, y, x].item() ** 2
        for ours, theirs in ((a_s, a_t), (c_s, c_t)):
            total += loss.attention_weight * sum(abs(p - q) for p, q in zip(ours, theirs, strict=True))
    return total / len(teacher)


@given(batch=st.integers(1, 2), temperature=st.floats(0.2, 2), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(batch: int, temperature: float, seed: int):
    torch.manual_seed(seed)
    loss, inputs = fgd(temperature=temperature).double(), equal(batch)
    pairs = [(s.double(), t.double()) for s, t in zip(inputs["student"], inputs["teacher"], strict=True)]
    expected = sum(slow(s, t, inputs["target"], loss, level) for level, (s, t) in enumerate(pairs))
    value = loss([s for s, _ in pairs], [t for _, t in pairs], inputs["target"].double())
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_gradient_is_that_of_finite_differences():
    inputs = levels(1)
    loss = fgd(student_channels=3).double()
    teacher, target = [feature.double() for feature in inputs["teacher"]], inputs["target"].double()
    student = [feature.double().requires_grad_() for feature in inputs["student"]]
    assert torch.autograd.gradcheck(lambda *s: loss(list(s), teacher, target), student)


def test_a_position_of_several_boxes_counts_for_the_smallest():
    rectangles = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5], [0.3, 0.3, 0.3, 0.9]]])
    objects, background = box_scales(rectangles, 4, 4)
    expected = torch.full((4, 4), 1 / 16)
    expected[:2, :2] = 1 / 4
    torch.testing.assert_close(objects[0], expected)
    assert not background.any()


def test_a_box_covers_the_cells_it_touches():
    objects, background = box_scales(torch.tensor([[[0.26, 0.0, 0.49, 0.1], [0.9, 0.9, 1.5, 1.5]]]), 4, 4)
    assert objects[0].nonzero().tolist() == [[0, 1], [3, 3]]
    torch.testing.assert_close(objects[0, 0, 1], torch.tensor(1.0))
    torch.testing.assert_close(background[0].sum(), torch.tensor(1.0))


def test_an_image_without_boxes_is_background():
    objects, background = box_scales(torch.zeros(1, 0, 4), 2, 3)
    assert not objects.any()
    torch.testing.assert_close(background, torch.full((1, 2, 3), 1 / 6))


def test_boxes_come_padded_or_in_a_list():
    inputs, loss = levels(2), fgd(student_channels=3)
    inputs["target"][1, 1:] = 0
    padded = loss(**inputs)
    torch.testing.assert_close(loss(**{**inputs, "target": [inputs["target"][0], inputs["target"][1, :1]]}), padded)


def test_boxes_come_as_detectors_are_fed_with_in_pixels_of_the_batch():
    inputs, loss = levels(2), fgd(student_channels=3)
    sides = torch.tensor([64.0, 32.0, 64.0, 32.0])
    targets = [{"boxes": rows * sides, "labels": torch.ones(3)} for rows in inputs["target"]]
    result = loss(**{**inputs, "target": targets}, images=torch.zeros(2, 3, 32, 64))
    torch.testing.assert_close(result, loss(**inputs))


def test_attention_sums_to_the_number_of_positions_and_channels():
    positions, channels = focal_attention(torch.randn(2, 5, 3, 4), 0.5)
    torch.testing.assert_close(positions.sum((1, 2)), torch.full((2,), 12.0))
    torch.testing.assert_close(channels.sum(1), torch.full((2,), 5.0))


@pytest.mark.parametrize("name", list(WEIGHTS))
@given(at=st.floats(0, 1))
def test_is_continuous_in_each_weight(name: str, at: float):
    torch.manual_seed(0)
    inputs, loss = levels(2), fgd(student_channels=3)

    def value(weight: float) -> Tensor:
        setattr(loss, name, weight)
        return loss(**inputs)

    assert_continuous(value, at)


@given(temperature=st.floats(0.1, 5))
def test_is_continuous_in_the_temperature(temperature: float):
    torch.manual_seed(0)
    feature = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    assert_continuous(lambda t: focal_attention(feature, t)[0].max(), temperature)


def test_refusals():
    feature = torch.zeros(1, 4, 2, 2)
    assert refusal(lambda: FGDLoss(4, temperature=0.0)) == "`temperature` must be > 0, got 0.0"
    assert refusal(lambda: FGDLoss(4, global_weight=-1.0)) == "`global_weight` must be >= 0, got -1.0"
    assert refusal(lambda: fgd()(feature, feature, boxes(1))) == "`levels` is 2, got 1 pairs of features"
    assert (
        refusal(lambda: FGDLoss(4, levels=1)(torch.zeros(1, 3, 2, 2), feature, boxes(1)))
        == "`student` (1, 3, 2, 2) and `teacher` (1, 4, 2, 2) must have the same shape"
    )
