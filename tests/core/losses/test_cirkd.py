"""CIRKDLoss against loops over images and pixels; its memories."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import CIRKDLoss, memory_divergence, pixel_pairs

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax


def images(batch: int) -> dict:
    target = torch.randint(3, (batch, 6, 4))
    target[:, 0] = 255
    return {"student": torch.randn(batch, 5, 3, 2), "teacher": torch.randn(batch, 4, 3, 2), "target": target}


def cirkd(**options) -> CIRKDLoss:
    return CIRKDLoss(3, 4, pixel_memory=6, region_memory=4, pixels_stored=2, **options)


CASES = [
    Case(
        name="CIRKDLoss",
        loss=cirkd,
        inputs=images,
        permutes=False,
        equal=("pixels", "regions"),
        whole=("pixels.next", "regions"),
    ),
    Case(
        name="CIRKDLoss-drawn",
        loss=lambda: cirkd(student_channels=5, pixels_drawn=6, regions_drawn=3, temperature=0.5),
        inputs=images,
        permutes=False,
    ),
]


def units(feature: Tensor) -> list[list[float]]:
    """The pixels of one image (channels, height, width), of norm 1, or 0 where nothing is active."""
    rows = feature.flatten(1).T.tolist()
    return [[x / (math.sqrt(sum(y * y for y in row)) or 1) for x in row] for row in rows]


def related(pixel: list[float], others: list[list[float]], temperature: float) -> list[float]:
    return softmax([sum(a * b for a, b in zip(pixel, other, strict=True)) for other in others], temperature)


def slow_pairs(student: Tensor, teacher: Tensor, temperature: float) -> float:
    ours, theirs = [units(image) for image in student], [units(image) for image in teacher]
    values = [
        kl(related(theirs[i][p], theirs[j], temperature), related(ours[i][p], ours[j], temperature))
        for i in range(len(ours))
        for j in range(len(ours))
        for p in range(len(ours[i]))
    ]
    return sum(values) / len(values)


@torch.no_grad()
def slow_memory(student: Tensor, teacher: Tensor, labels: Tensor, memory: Tensor, temperature: float) -> float:
    values = []
    for s, t, image in zip(student, teacher, labels, strict=True):
        for ours, theirs, label in zip(units(s), units(t), image.flatten().tolist(), strict=True):
            if label < 3:
                remembered = memory.tolist()
                values.append(kl(related(theirs, remembered, temperature), related(ours, remembered, temperature)))
    return sum(values) / len(values)


@given(shape=st.tuples(*[st.integers(1, 3)] * 5), temperature=st.floats(0.1, 2), seed=st.integers(0, 1000))
def test_pairs_equal_the_slow_derivation(shape: tuple[int, ...], temperature: float, seed: int):
    batch, ours, theirs, height, width = shape
    torch.manual_seed(seed)
    student = torch.randn(batch, ours, height, width, dtype=torch.float64)
    teacher = torch.randn(batch, theirs, height, width, dtype=torch.float64)
    expected = slow_pairs(student, teacher, temperature)
    for at_a_time in (1, 2**24):
        value = pixel_pairs(student, teacher, temperature, at_a_time).mean()
        assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(weights=st.tuples(*[st.floats(0, 2)] * 3), temperature=st.floats(0.1, 2), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(weights: tuple[float, ...], temperature: float, seed: int):
    torch.manual_seed(seed)
    pair, pixel, region = weights
    options = {"pair_weight": pair, "pixel_weight": pixel, "region_weight": region, "temperature": temperature}
    loss = cirkd(student_channels=5, **options).double().eval()
    inputs = {name: x.double() if x.is_floating_point() else x for name, x in images(2).items()}
    student, teacher = inputs["student"], inputs["teacher"]
    labels, projected = inputs["target"][:, ::2, ::2], loss.projection(student)
    expected = pair * slow_pairs(student, teacher, temperature)
    for weight, queues in ((pixel, loss.pixels), (region, loss.regions)):
        expected += weight * slow_memory(projected, teacher, labels, queues.held[:, :-1].flatten(0, 1), temperature)
    assert loss(**inputs).item() == pytest.approx(expected, rel=1e-9)


def test_gradient_is_that_of_finite_differences():
    inputs = {name: x.double() if x.is_floating_point() else x for name, x in images(2).items()}
    loss = cirkd(student_channels=5, temperature=0.5).double().eval()
    assert torch.autograd.gradcheck(lambda s: loss(s, *list(inputs.values())[1:]), inputs["student"].requires_grad_())


def test_gradient_of_many_pairs_is_that_of_few():
    student, teacher = torch.randn(3, 4, 2, 2, requires_grad=True), torch.randn(3, 5, 2, 2)
    gradients = [
        torch.autograd.grad(pixel_pairs(student, teacher, at_a_time=at_a_time).sum(), student)[0]
        for at_a_time in (1, 2**24)
    ]
    torch.testing.assert_close(*gradients)


@given(temperature=st.floats(0.1, 2))
def test_is_continuous_in_the_temperature(temperature: float):
    torch.manual_seed(0)
    student, teacher = torch.nn.functional.normalize(torch.randn(2, 2, 5, 4, dtype=torch.float64), dim=3)
    memory = torch.nn.functional.normalize(torch.randn(7, 4, dtype=torch.float64), dim=1)
    assert_continuous(lambda t: memory_divergence(student, teacher, memory, t).sum(), temperature)
    maps = [pixels.mT.view(2, 4, 5, 1) for pixels in (student, teacher)]
    assert_continuous(lambda t: pixel_pairs(*maps, t).sum(), temperature)


def test_regions_are_the_mean_pixels_of_a_class():
    loss, inputs = cirkd(), images(1)
    inputs["target"] = torch.tensor([[[0, 0], [0, 2], [255, 2]]])
    loss(**inputs)
    pixels = torch.tensor(units(inputs["teacher"][0]))
    assert loss.regions.next.tolist() == [1, 0, 1]
    for label, members in ((0, [0, 1, 2]), (2, [3, 5])):
        mean = pixels[members].mean(0)
        torch.testing.assert_close(loss.regions.held[label, 0], mean / mean.norm())


def test_remembered_pixels_are_of_the_class():
    loss, inputs = cirkd(), images(1)
    inputs["target"] = torch.tensor([[[0, 0], [0, 2], [255, 255]]])
    loss(**inputs)
    pixels = torch.tensor(units(inputs["teacher"][0]))
    assert loss.pixels.next.tolist() == [2, 0, 1]
    torch.testing.assert_close(loss.pixels.held[2, 0], pixels[3])
    nearest = torch.cdist(loss.pixels.held[0, :2], pixels).argmin(1).tolist()
    assert len(set(nearest)) == 2
    assert set(nearest) <= {0, 1, 2}


def test_an_image_without_labels_has_only_pairs():
    loss, inputs = cirkd(), images(2)
    inputs["target"] = torch.full_like(inputs["target"], 255)
    value = loss(**inputs)
    torch.testing.assert_close(value, pixel_pairs(inputs["student"], inputs["teacher"]).mean())
    assert loss.pixels.next.tolist() == loss.regions.next.tolist() == [0, 0, 0]


def test_refusals():
    assert refusal(lambda: cirkd(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
    assert refusal(lambda: cirkd(region_weight=-1.0)) == "`region_weight` must be >= 0, got -1.0"
    assert (
        refusal(lambda: pixel_pairs(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 4, 4)))
        == "`student` (1, 3, 2, 2) and `teacher` (1, 3, 4, 4) must have the same height and width"
    )
