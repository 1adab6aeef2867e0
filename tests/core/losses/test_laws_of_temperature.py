"""Temperatures of the losses of tokens: they divide the logits, without a factor of τ²."""

from __future__ import annotations

import pytest
import torch

from distill_core.losses import (
    ABKDLoss,
    AKLLoss,
    GeneralisedJSDLoss,
    SkewedKLLoss,
    SkewedReverseKLLoss,
    TAIDLoss,
    TopKKLLoss,
    ULDLoss,
)

from .derivations import kl, sequences, softmax

BOTH = [ABKDLoss, AKLLoss, GeneralisedJSDLoss, SkewedKLLoss, SkewedReverseKLLoss, TAIDLoss]


def logits() -> dict:
    torch.manual_seed(0)
    return {name: x.double() if x.is_floating_point() else x for name, x in sequences(3).items()}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("loss", BOTH)
def test_one_temperature_divides_both_logits(loss: type, temperature: float):
    inputs = logits()
    divided = {**inputs, **{name: inputs[name] / temperature for name in ("student", "teacher")}}
    torch.testing.assert_close(loss(temperature=temperature).double()(**inputs), loss().double()(**divided))


@pytest.mark.parametrize("loss", BOTH)
def test_temperatures_change_the_loss(loss: type):
    assert loss(temperature=3.0).double()(**logits()) != loss().double()(**logits())


def test_the_entropy_that_moves_t_is_at_the_temperature():
    inputs = logits()
    divided = {**inputs, **{name: inputs[name] / 3 for name in ("student", "teacher")}}
    hot, cold = (TAIDLoss(mode="code", temperature=temperature).double() for temperature in (3.0, 1.0))
    hot(**inputs)
    cold(**divided)
    torch.testing.assert_close(hot.previous, cold.previous)


def test_each_side_of_uld_has_a_temperature():
    inputs = logits()
    divided = {**inputs, "student": inputs["student"] / 2, "teacher": inputs["teacher"] / 3}
    value = ULDLoss(student_temperature=2, teacher_temperature=3)(**inputs)
    torch.testing.assert_close(value, ULDLoss()(**divided))


def top(teacher: torch.Tensor, k: int) -> dict:
    values, index = teacher.log_softmax(2).topk(k)
    return {"teacher": values, "index": index}


def test_each_side_of_a_complete_top_k_has_a_temperature():
    """All entries are stored, so that the teacher's logits are known."""
    inputs = logits()
    student, teacher, mask = inputs["student"], inputs["teacher"], inputs["mask"]
    value = TopKKLLoss(student_temperature=2, teacher_temperature=3)(student, **top(teacher, 7), mask=mask)
    torch.testing.assert_close(value, TopKKLLoss()(student / 2, **top(teacher / 3, 7), mask=mask))


def test_the_student_of_a_top_k_has_a_temperature():
    inputs = logits()
    stored = top(inputs["teacher"], 3)
    value = TopKKLLoss(student_temperature=2)(inputs["student"], **stored)
    torch.testing.assert_close(value, TopKKLLoss()(inputs["student"] / 2, **stored))


@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_the_remaining_tokens_of_a_top_k_are_taken_to_be_equal(temperature: float):
    """The teacher's other logits are equal here, so that the loss equals the one of its logits."""
    inputs = logits()
    student, teacher = inputs["student"], inputs["teacher"].clone()
    index = teacher.topk(3).indices
    teacher = torch.full_like(teacher, -9.0).scatter(2, index, teacher.gather(2, index))
    stored = {"teacher": teacher.log_softmax(2).gather(2, index), "index": index}
    total = 0.0
    for s, t, chosen in zip(*(x.flatten(0, 1).tolist() for x in (student, teacher, index)), strict=True):
        p, q = softmax(t, temperature), softmax(s)
        kept = [[x[i] for i in chosen] for x in (p, q)]
        total += kl([*kept[0], 1 - sum(kept[0])], [*kept[1], 1 - sum(kept[1])])
    value = TopKKLLoss(teacher_temperature=temperature)(student, **stored)
    assert value.item() == pytest.approx(total / 12, rel=1e-6)


def test_a_bucket_without_mass_stays_empty():
    stored = torch.tensor([[[0.75, 0.25]]], dtype=torch.float64).log()
    index = torch.tensor([[[4, 1]]])
    value = TopKKLLoss(teacher_temperature=2.0)(torch.zeros(1, 1, 5, dtype=torch.float64), stored, index)
    roots = [0.75**0.5, 0.25**0.5]
    expected = kl([root / sum(roots) for root in roots], [0.2, 0.2])
    assert value.item() == pytest.approx(expected, rel=1e-6)
