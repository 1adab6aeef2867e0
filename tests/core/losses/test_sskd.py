"""SSKDHeadLoss and SSKDLoss against loops over images and rotations."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.layers import ProjectionHead
from distill_core.losses import SSKDHeadLoss, SSKDLoss, best_ranked

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax

WEIGHTS = {"ce_weight": 2.0, "kd_weight": 3.0, "ss_weight": 5.0, "tf_weight": 7.0}


def by_image(batch: int) -> dict:
    """The images are the first dimension, their rotations the second, as a batch is split by images."""
    tensors = {name: [3 * torch.randn(batch, 4, 5), torch.randn(batch, 4, 6)] for name in ("student", "teacher")}
    return {**tensors, "target": torch.randint(5, (batch,))}


def interleaved(batch: int) -> dict:
    tensors = {
        "student": [3 * torch.randn(4 * batch, 5), torch.randn(4 * batch, 3, 2, 2)],
        "teacher": [3 * torch.randn(4 * batch, 5), torch.randn(4 * batch, 6, 1, 1)],
    }
    return {**tensors, "target": torch.randint(5, (batch,))}


def sskd(**options) -> SSKDLoss:
    return SSKDLoss(ProjectionHead(6), **options)


CASES = [
    Case(name="SSKDLoss", loss=sskd, inputs=by_image, constant=("teacher_head",)),
    Case(
        name="SSKDLoss-few",
        loss=lambda: sskd(ss_ratio=0.3, tf_ratio=0.3),
        inputs=by_image,
        constant=("teacher_head",),
    ),
    Case(
        name="SSKDLoss-interleaved",
        loss=sskd,
        inputs=interleaved,
        constant=("teacher_head",),
        permutes=False,
        splits=False,
    ),
    Case(
        name="SSKDHeadLoss",
        loss=lambda: SSKDHeadLoss(ProjectionHead(6)),
        inputs=lambda batch: {"teacher": torch.randn(batch, 4, 6)},
    ),
]


def cosines(embeddings: list[list[list[float]]]) -> list[list[float]]:
    def cosine(a: list[float], b: list[float]) -> float:
        product = sum(x * y for x, y in zip(a, b, strict=True))
        return product / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(x * x for x in b))

    return [[cosine(turned, other[0]) for other in embeddings] for image in embeddings for turned in image[1:]]


def slow_kept(scores: list[list[float]], truth: list[int], ratio: float) -> list[int]:
    ranks = [sum(x > row[own] for x in row) for row, own in zip(scores, truth, strict=True)]
    right = [i for i, rank in enumerate(ranks) if rank == 0]
    wrong = sorted((i for i, rank in enumerate(ranks) if rank), key=lambda i: (ranks[i], -scores[i][truth[i]]))
    return right + wrong[: math.floor(ratio * len(wrong))]


def slow_kd(student: list[list[float]], teacher: list[list[float]], kept: list[int], temperature: float) -> float:
    values = [kl(softmax(teacher[i], temperature), softmax(student[i], temperature)) for i in kept]
    return temperature**2 * sum(values) / max(len(values), 1)


def slow(ours: list, theirs: list, our_head: list, their_head: list, target: list[int], loss: SSKDLoss) -> float:
    """Of logits and embeddings by image."""
    labels = -sum(math.log(softmax(image[0])[y]) for image, y in zip(ours, target, strict=True)) / len(target)
    plain = [[image[0] for image in logits] for logits in (ours, theirs)]
    teaching = slow_kd(*plain, list(range(len(target))), loss.kd_temperature)
    student, teacher = cosines(our_head), cosines(their_head)
    own = [image for image in range(len(target)) for _ in range(3)]
    similar = slow_kd(student, teacher, slow_kept(teacher, own, loss.ss_ratio), loss.ss_temperature)
    student, teacher = ([turned for image in logits for turned in image[1:]] for logits in (ours, theirs))
    classes = [y for y in target for _ in range(3)]
    rotated = slow_kd(student, teacher, slow_kept(teacher, classes, loss.tf_ratio), loss.tf_temperature)
    parts = zip(
        (loss.ce_weight, loss.kd_weight, loss.ss_weight, loss.tf_weight),
        (labels, teaching, similar, rotated),
        strict=True,
    )
    return sum(weight * part for weight, part in parts)


ratios = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@given(images=st.integers(1, 4), ss_ratio=ratios, tf_ratio=ratios, seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(images: int, ss_ratio: float, tf_ratio: float, seed: int):
    torch.manual_seed(seed)
    loss = sskd(**WEIGHTS, ss_ratio=ss_ratio, tf_ratio=tf_ratio)
    loss(**by_image(2))
    inputs = by_image(images)
    (ours, features), (theirs, others) = ([x.double() for x in inputs[name]] for name in ("student", "teacher"))
    loss = loss.double()
    heads = loss.student_head(features).tolist(), loss.teacher_head(others).tolist()
    expected = slow(ours.tolist(), theirs.tolist(), *heads, inputs["target"].tolist(), loss)
    value = loss([ours, features], [theirs, others], inputs["target"])
    assert value.item() == pytest.approx(expected, rel=1e-9)


@given(images=st.integers(1, 4), seed=st.integers(0, 1000))
def test_the_first_stage_equals_the_slow_derivation(images: int, seed: int):
    torch.manual_seed(seed)
    head, features = ProjectionHead(6).double(), torch.randn(images, 4, 6, dtype=torch.float64)
    total = 0.0
    for number, row in enumerate(cosines(head(features).tolist())):
        total -= math.log(softmax(row)[number // 3]) / (3 * images)
    assert SSKDHeadLoss(head)(features).item() == pytest.approx(total, rel=1e-9, abs=1e-12)


def test_consecutive_samples_are_the_rotations_of_an_image():
    inputs, loss = by_image(3), sskd()
    flat = {name: [x.flatten(0, 1) for x in inputs[name]] for name in ("student", "teacher")}
    torch.testing.assert_close(loss(**flat, target=inputs["target"]), loss(**inputs))


def test_gradient_is_that_of_finite_differences():
    loss, inputs = sskd(), by_image(2)
    loss(**inputs)
    loss = loss.double()
    teacher = [x.double() for x in inputs["teacher"]]
    student = tuple(x.double().requires_grad_() for x in inputs["student"])
    assert torch.autograd.gradcheck(lambda *s: loss(s, teacher, inputs["target"]), student)


@pytest.mark.parametrize("name", [*WEIGHTS, "kd_temperature", "ss_temperature", "tf_temperature"])
@given(at=st.floats(0.25, 8))
def test_is_continuous_in_weights_and_temperatures(name: str, at: float):
    def value(x: float) -> torch.Tensor:
        torch.manual_seed(0)
        return sskd(**{name: x})(**by_image(2))

    assert_continuous(value, at=at, step=1e-5)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_of_zero_is_the_limit(name: str):
    def value(x: float) -> torch.Tensor:
        torch.manual_seed(0)
        return sskd(**{name: x})(**by_image(2))

    assert value(1e-7).item() == pytest.approx(value(0.0).item(), rel=1e-5)


def test_best_ranked_keeps_the_right_and_a_share_of_the_others():
    """Ranks 0, 2, 1, 1: of the last two, the fourth row thinks more of the truth."""
    scores = torch.tensor([[9.0, 1, 2], [0, 5, 6], [7, 3, 1], [4, 5, 9]])
    truth = torch.tensor([0, 0, 1, 1])
    assert best_ranked(scores, truth, 0.0).tolist() == [True, False, False, False]
    assert best_ranked(scores, truth, 0.34).tolist() == [True, False, False, True]
    assert best_ranked(scores, truth, 0.99).tolist() == [True, False, True, True]
    assert best_ranked(scores, truth, 1.0).tolist() == [True, True, True, True]


def test_the_head_learns_which_rotation_is_of_which_image():
    images = torch.randn(6, 1, 8) + 0.3 * torch.randn(6, 4, 8)
    loss = SSKDHeadLoss(ProjectionHead(8))
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.01)
    values = []
    for _ in range(30):
        value = loss(images)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]


def test_both_stages_hold_one_head_and_the_second_leaves_it_alone():
    head = ProjectionHead(6)
    first, second = SSKDHeadLoss(head), SSKDLoss(head)
    second(**by_image(2)).backward()
    assert first.head is second.teacher_head
    assert all(parameter.grad is None for parameter in head.parameters())


def test_refusals():
    inputs = interleaved(2)
    assert refusal(lambda: SSKDHeadLoss(ProjectionHead(6))(inputs["teacher"][1][:7])) == (
        "`teacher` has 7 samples: give each image as 4 consecutive rotations"
    )
    assert refusal(lambda: sskd(ss_ratio=1.5)) == "`ss_ratio` must be >= 0 and <= 1, got 1.5"
    assert refusal(lambda: sskd(tf_ratio=-0.5)) == "`tf_ratio` must be >= 0 and <= 1, got -0.5"
    assert refusal(lambda: sskd(ss_temperature=0.0)) == "`ss_temperature` must be > 0, got 0.0"
    assert refusal(lambda: sskd(tf_weight=-1.0)) == "`tf_weight` must be >= 0, got -1.0"
