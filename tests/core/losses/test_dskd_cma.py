"""DSKDCMALoss against loops over samples and tokens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from distill_core.losses import DSKDCMALoss

from .cases import Case
from .derivations import refusal, softmax
from .test_dskd import OTHER, VOCABULARY, WIDER, WIDTH, double, matched, side, targets


def two_tokenizers(batch: int) -> dict:
    student, teacher = side(batch, 4, WIDTH, VOCABULARY), side(batch, 6, WIDER, OTHER)
    return {
        "student": [*student, nn.Embedding(VOCABULARY, WIDTH)],
        "teacher": [*teacher, nn.Embedding(OTHER, WIDER)],
        "target": [targets(batch, 4, VOCABULARY), targets(batch, 6, OTHER)],
        "index": [torch.randint(VOCABULARY, (batch, 4)), torch.randint(OTHER, (batch, 6))],
    }


CASES = [
    Case(name="DSKDCMALoss", loss=DSKDCMALoss, inputs=two_tokenizers),
    Case(name="DSKDCMALoss-reverse", loss=lambda: DSKDCMALoss(2.0, "reverse", chunk=3), inputs=two_tokenizers),
]


def attended(scores: list[float], values: list[Tensor]) -> Tensor:
    return sum(weight * value for weight, value in zip(softmax(scores), values, strict=True))


def slow_sample(loss: DSKDCMALoss, student: list, teacher: list, target: list, index: list) -> list[float]:
    """The terms of one sample, of which only the counted tokens are given."""
    e, f = (
        [side[3].weight[x] for x in (tokens, labels)]
        for side, tokens, labels in zip((student, teacher), index, target, strict=True)
    )
    key, following = torch.cat(f, 1) / torch.cat(f, 1).std(), f[1] / f[1].std()
    query = torch.cat(e, 1) @ loss.query.weight.T + loss.query.bias
    scores = (query @ key.T / math.sqrt(2 * WIDER)).tolist()
    of_teacher = [loss.to_student.weight @ x + loss.to_student.bias for x in teacher[1] / teacher[1].std() + following]
    of_student = [loss.to_teacher.weight @ x + loss.to_teacher.bias for x in student[1]]
    values = []
    for i, y in enumerate(target[0].tolist()):
        moved = (student[2].weight @ attended(scores[i], of_teacher)).tolist()
        values.append(-math.log(softmax(moved)[y]))
        if max(moved) == moved[y]:
            values.append(matched(student[0][i].tolist(), moved, loss.temperature, loss.divergence))
    for j in range(len(target[1])):
        back = teacher[2].weight @ attended([row[j] for row in scores], of_student)
        values.append(matched(back.tolist(), teacher[0][j].tolist(), loss.temperature, "forward"))
    return values


@pytest.mark.parametrize("divergence", ["forward", "reverse"])
@pytest.mark.parametrize("seed", range(3))
def test_two_tokenizers_equal_the_slow_derivation(divergence: str, seed: int):
    torch.manual_seed(seed)
    inputs = double(two_tokenizers(5))
    inputs["target"][1][2] = -100  # one sample does not count
    loss = DSKDCMALoss(1.7, divergence, student_features=WIDTH, teacher_features=WIDER, chunk=3).double()
    values = []
    for b in (0, 1, 3, 4):
        counted = [x[b] != -100 for x in inputs["target"]]
        sides = [
            [side[0][b, chosen], side[1][b, chosen], *side[2:]]
            for side, chosen in zip((inputs["student"], inputs["teacher"]), counted, strict=True)
        ]
        labels, tokens = (
            [x[b, chosen] for x, chosen in zip(inputs[name], counted, strict=True)] for name in ("target", "index")
        )
        values += slow_sample(loss, *sides, labels, tokens)
    count = (inputs["target"][0][[0, 1, 3, 4]] != -100).sum().item()
    assert loss(**inputs).item() == pytest.approx(sum(values) / count, rel=1e-9)
    assert DSKDCMALoss.count(inputs["target"]) == count


def test_tokens_that_do_not_count_change_nothing():
    inputs, loss = two_tokenizers(4), DSKDCMALoss(student_features=WIDTH, teacher_features=WIDER)
    expected = loss(**inputs)
    for name, target, tokens in zip(("student", "teacher"), inputs["target"], inputs["index"], strict=True):
        tokens[target == -100] = 0
        for tensor in inputs[name][:2]:
            tensor[target == -100] = torch.nan
    torch.testing.assert_close(loss(**inputs), expected)


def test_a_sample_does_not_depend_on_the_others():
    inputs, loss = two_tokenizers(4), DSKDCMALoss(student_features=WIDTH, teacher_features=WIDER)
    labels = inputs["target"]
    one = [loss(**{**inputs, "target": [only(x, b) for x in labels]}) * (labels[0][b] != -100).sum() for b in range(4)]
    torch.testing.assert_close(loss(**inputs) * (labels[0] != -100).sum(), sum(one))


def only(target: Tensor, sample: int) -> Tensor:
    return target.masked_fill(torch.arange(len(target))[:, None] != sample, -100)


def test_heads_are_constant():
    inputs = two_tokenizers(4)
    for name, width, vocabulary in (("student", WIDTH, VOCABULARY), ("teacher", WIDER, OTHER)):
        inputs[name][2] = nn.Linear(width, vocabulary)
    DSKDCMALoss()(**inputs).backward()
    modules = [*inputs["student"][2:], *inputs["teacher"][2:]]
    assert [p.grad for module in modules for p in module.parameters()] == [None] * 6


def test_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    inputs = double(two_tokenizers(3))
    loss = DSKDCMALoss(student_features=WIDTH, teacher_features=WIDER, chunk=2).double()
    own = [x.requires_grad_() for x in inputs["student"][:2]]
    assert torch.autograd.gradcheck(lambda *x: loss(**{**inputs, "student": [*x, *inputs["student"][2:]]}), own)
    assert torch.autograd.gradcheck(lambda *_: loss(**inputs), list(loss.to_teacher.parameters()))


def test_refusals():
    two = two_tokenizers(2)
    assert refusal(lambda: DSKDCMALoss()(**{**two, "target": two["target"][0]})) == (
        "`target` must be [student's, teacher's], got one tensor"
    )
    assert refusal(lambda: DSKDCMALoss()(**{**two, "index": two["index"][::-1]})) == (
        "`index` must have the shape of `target` (2, 4), got (2, 6)"
    )
