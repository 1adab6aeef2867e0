"""DSKDLoss against a loop over tokens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from distill_core.losses import DSKDLoss

from .cases import Case
from .derivations import kl, refusal, softmax

VOCABULARY, OTHER = 7, 9
WIDTH, WIDER = 3, 5


class FixedHead(nn.Module):
    """A head of any precision, without parameters of its own."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(vocabulary, width))

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors @ self.weight.to(vectors.dtype).T


def targets(batch: int, tokens: int, vocabulary: int) -> Tensor:
    counted = torch.arange(tokens) <= torch.arange(batch)[:, None] % tokens
    return torch.randint(vocabulary, (batch, tokens)).masked_fill(~counted, -100)


def side(batch: int, tokens: int, width: int, vocabulary: int) -> list:
    return [2 * torch.randn(batch, tokens, vocabulary), torch.randn(batch, tokens, width), FixedHead(width, vocabulary)]


def one_tokenizer(batch: int) -> dict:
    student, teacher = side(batch, 4, WIDTH, VOCABULARY), side(batch, 4, WIDER, OTHER)
    return {"student": student, "teacher": teacher, "target": targets(batch, 4, VOCABULARY)}


CASES = [
    Case(name="DSKDLoss", loss=DSKDLoss, inputs=one_tokenizer),
    Case(name="DSKDLoss-reverse", loss=lambda: DSKDLoss(2.0, "reverse", chunk=3), inputs=one_tokenizer),
]


def double(inputs: dict) -> dict:
    def one(value):
        if isinstance(value, list):
            return [one(part) for part in value]
        return value.double() if isinstance(value, nn.Module) or value.is_floating_point() else value

    return {name: one(value) for name, value in inputs.items()}


def matched(s: list[float], t: list[float], temperature: float, divergence: str) -> float:
    p, q = softmax(t, temperature), softmax(s, temperature)
    return kl(p, q) if divergence == "forward" else kl(q, p)


def slow(loss: DSKDLoss, student: list, teacher: list, target: Tensor) -> float:
    values = []
    for b, i in (target != -100).nonzero().tolist():
        moved = student[2].weight @ (loss.to_student.weight @ teacher[1][b, i] + loss.to_student.bias)
        back = teacher[2].weight @ (loss.to_teacher.weight @ student[1][b, i] + loss.to_teacher.bias)
        labels = -math.log(softmax(moved.tolist())[target[b, i]])
        ours = matched(student[0][b, i].tolist(), moved.tolist(), loss.temperature, loss.divergence)
        values.append(labels + ours + matched(back.tolist(), teacher[0][b, i].tolist(), loss.temperature, "forward"))
    return sum(values) / len(values)


@pytest.mark.parametrize("divergence", ["forward", "reverse"])
def test_one_tokenizer_equals_the_slow_derivation(divergence: str):
    inputs = double(one_tokenizer(5))
    loss = DSKDLoss(1.7, divergence, student_features=WIDTH, teacher_features=WIDER, chunk=3).double()
    assert loss(**inputs).item() == pytest.approx(slow(loss, **inputs), rel=1e-9)


def test_tokens_that_do_not_count_change_nothing():
    inputs, loss = one_tokenizer(4), DSKDLoss(student_features=WIDTH, teacher_features=WIDER)
    expected = loss(**inputs)
    for tensor in (*inputs["student"][:2], *inputs["teacher"][:2]):
        tensor[inputs["target"] == -100] = torch.nan
    torch.testing.assert_close(loss(**inputs), expected)


def test_heads_are_constant():
    inputs = one_tokenizer(4)
    for name, width, vocabulary in (("student", WIDTH, VOCABULARY), ("teacher", WIDER, OTHER)):
        inputs[name][2] = nn.Linear(width, vocabulary)
    DSKDLoss()(**inputs).backward()
    assert [p.grad for name in ("student", "teacher") for p in inputs[name][2].parameters()] == [None] * 4


def test_gradient_is_that_of_finite_differences():
    inputs = double(one_tokenizer(3))
    loss = DSKDLoss(student_features=WIDTH, teacher_features=WIDER, chunk=2).double()
    own = [x.requires_grad_() for x in inputs["student"][:2]]
    assert torch.autograd.gradcheck(lambda *x: loss(**{**inputs, "student": [*x, inputs["student"][2]]}), own)
    assert torch.autograd.gradcheck(lambda *_: loss(**inputs), list(loss.to_teacher.parameters()))


def test_refusals():
    inputs = one_tokenizer(2)
    (ours, vectors, head), target = inputs["student"], inputs["target"]
    assert refusal(lambda: DSKDLoss()([ours, vectors[:, 1:], head], inputs["teacher"], target)) == (
        "`student` must be [logits, vectors, head] with vectors (batch, tokens, features) for logits (2, 4, 7), got (2, 3, 3)"
    )
    shorter = [inputs["teacher"][0][:, 1:], inputs["teacher"][1][:, 1:], inputs["teacher"][2]]
    assert refusal(lambda: DSKDLoss()(inputs["student"], shorter, target)) == (
        "`student` and `teacher` must have the same tokens, got logits (2, 4, 7) and (2, 3, 9): use DSKDCMALoss for two tokenizers"
    )
    assert refusal(lambda: DSKDLoss(divergence="js")) == "`divergence` must be 'forward' or 'reverse', got 'js'"
