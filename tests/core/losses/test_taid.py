"""TAIDLoss against loops over tokens; how t moves."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.experiment import StageProgress
from distill_core.losses import ForwardKLLoss, TAIDLoss

from .cases import Case
from .derivations import assert_continuous, drawn_sequences, kl, refusal, sequences, softmax

CASES = [
    Case(name="TAIDLoss", loss=TAIDLoss, inputs=sequences, zero_at_equality=True),
    Case(name="TAIDLoss-code", loss=lambda: TAIDLoss(rate=0.5, mode="code"), inputs=sequences, zero_at_equality=True),
]


@given(drawn=drawn_sequences(), t=st.floats(0, 1))
def test_equals_the_slow_derivation(drawn: tuple, t: float):
    student, teacher, mask = drawn
    total, tokens = 0.0, mask.sum().item()
    for s, y in zip(student[mask].tolist(), teacher[mask].tolist(), strict=True):
        total += kl(softmax([(1 - t) * a + t * b for a, b in zip(s, y, strict=True)]), softmax(s))
    loss = TAIDLoss(start=t).double()
    assert loss(student, teacher, mask).item() == pytest.approx(total / max(tokens, 1), rel=1e-6, abs=1e-7)


def mean_entropy(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, t: float) -> float:
    rows = zip(student[mask].tolist(), teacher[mask].tolist(), strict=True)
    between = [softmax([(1 - t) * a + t * b for a, b in zip(s, y, strict=True)]) for s, y in rows]
    return -sum(p * math.log(p) for row in between for p in row) / len(between)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_t_moves_by_the_formulas(mode: str):
    """Four forwards, in Python numbers; the code's loss is the divergence and the entropy of the target."""
    torch.manual_seed(3)
    loss, batches = TAIDLoss(rate=0.1, momentum=0.6, mode=mode).double(), [sequences(4) for _ in range(4)]
    t, change, previous = 0.4, 0.0, None
    for step, batch in enumerate(batches):
        loss.set_progress(StageProgress(stage=0, step=step, steps=8, epochs=1))
        inputs = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
        assert loss.t.item() == pytest.approx(t)
        value = loss(**inputs).item()
        if mode == "code":
            value += mean_entropy(inputs["student"], inputs["teacher"], inputs["mask"].bool(), t)
        if previous is not None:
            change = 0.6 * change + 0.4 * (previous - value) / previous
            t = min(1.0, max(0.4 + 0.6 * step / 8, t + 0.1 / (1 + math.exp(-change)) * (1 - t)))
        previous = value
    assert loss.t.item() == pytest.approx(t)
    assert loss.change.item() == pytest.approx(change)


def test_t_ends_where_it_shall():
    loss, inputs = TAIDLoss(start=0.2, end=0.8), sequences(4)
    loss.set_progress(StageProgress(stage=0, step=10, steps=10, epochs=1))
    for _ in range(3):
        loss(**inputs)
    assert loss.t.item() == pytest.approx(0.8)


def test_at_t_1_it_is_the_forward_divergence():
    inputs = sequences(4)
    torch.testing.assert_close(TAIDLoss(start=1.0)(**inputs), ForwardKLLoss()(**inputs))


def test_the_target_between_is_constant():
    student, teacher = torch.randn(2, 6, 5, dtype=torch.float64)
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(TAIDLoss(start=0.3).double()(student[None], teacher[None]), student)
    between = torch.softmax(0.7 * student.detach() + 0.3 * teacher, dim=1)
    torch.testing.assert_close(gradient, (torch.softmax(student.detach(), dim=1) - between) / 6)


def test_a_step_between_forward_and_backward_changes_no_gradient():
    inputs = sequences(4)
    inputs["student"].requires_grad_()
    loss = TAIDLoss(start=0.3)
    value = loss(**inputs)
    loss.t.fill_(0.9)
    fresh = TAIDLoss(start=0.3)(**inputs)
    torch.testing.assert_close(*(torch.autograd.grad(x, inputs["student"])[0] for x in (value, fresh)))


def test_no_loss_before_is_no_division_by_zero():
    inputs = sequences(4)
    inputs["teacher"] = inputs["student"].clone()
    loss = TAIDLoss()
    for _ in range(3):
        loss(**inputs)
    assert all(buffer.isfinite() for buffer in loss.buffers())


@pytest.mark.parametrize("start", [0.0, 0.4, 1 - 1e-6])
def test_is_continuous_in_where_it_starts(start: float):
    inputs = sequences(4)
    assert_continuous(lambda x: TAIDLoss(start=x)(**inputs), start)


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3, 4), torch.zeros(2, 3, 5)
    assert refusal(lambda: TAIDLoss()(*shapes)) == (
        "`student` (2, 3, 4) and `teacher` (2, 3, 5) must have the same shape: "
        "logits of two tokenizers can be compared by ULDLoss, and of one tokenizer up to its last token"
    )
    assert refusal(lambda: TAIDLoss(start=-0.1)) == "`start` must be >= 0 and <= 1, got -0.1"
    assert refusal(lambda: TAIDLoss(end=0.3)) == "`end` must be >= 0.4 and <= 1, got 0.3"
    assert refusal(lambda: TAIDLoss(rate=2.0)) == "`rate` must be >= 0 and <= 1, got 2.0"
    assert refusal(lambda: TAIDLoss(momentum=2.0)) == "`momentum` must be >= 0 and <= 1, got 2.0"
    assert refusal(lambda: TAIDLoss(chunk=0)) == "`chunk` must be >= 1, got 0"
