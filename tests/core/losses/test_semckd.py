"""SemCKDLoss against loops over samples and pairs of layers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import SemCKDLoss

from .cases import Case
from .derivations import refusal, softmax


def layers(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 2, 2, 2)],
        "teacher": [torch.randn(batch, 4, 4, 4), torch.randn(batch, 3, 2, 2), torch.randn(batch, 5, 2, 2)],
    }


def semckd(batch_size: int = 8) -> SemCKDLoss:
    return SemCKDLoss(batch_size, [4, 3, 5], [3, 2])


CASES = [
    Case(name="SemCKDLoss", loss=semckd, inputs=layers, permutes=False),
    Case(name="SemCKDLoss-larger", loss=lambda: semckd(10), inputs=layers, permutes=False),
]


def similarities(feature: Tensor, length: int) -> list[list[float]]:
    rows = feature.flatten(1).tolist()
    grams = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in rows] for one in rows]
    return [row + [0.0] * (length - len(row)) for row in grams]


@torch.no_grad()
def embedded(mlp: torch.nn.Sequential, row: list[float]) -> list[float]:
    hidden = (mlp[0].weight @ torch.tensor(row, dtype=torch.float64) + mlp[0].bias).clamp(min=0)
    out = (mlp[2].weight @ hidden + mlp[2].bias).tolist()
    length = math.sqrt(sum(x * x for x in out))
    return [x / length for x in out]


@torch.no_grad()
def slow(student: list[Tensor], teacher: list[Tensor], loss: SemCKDLoss) -> float:
    total, batch = 0.0, len(student[0])
    for n in range(batch):
        keys = [embedded(mlp, similarities(f, loss.batch_size)[n]) for mlp, f in zip(loss.keys, teacher, strict=True)]
        for i, s in enumerate(student):
            query = embedded(loss.queries[i], similarities(s, loss.batch_size)[n])
            weights = softmax([sum(a * b for a, b in zip(query, key, strict=True)) for key in keys])
            for j, t in enumerate(teacher):
                size = (min(s.shape[2], t.shape[2]), min(s.shape[3], t.shape[3]))
                ours, theirs = (torch.nn.functional.adaptive_avg_pool2d(f, size) for f in (s, t))
                mapped = loss.regressors[i][j](ours)[n].flatten().tolist()
                squares = [(a - b) ** 2 for a, b in zip(mapped, theirs[n].flatten().tolist(), strict=True)]
                total += weights[j] * sum(squares) / len(squares)
    return total / batch / len(student)


@given(batch=st.integers(2, 4), more=st.integers(0, 3), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(batch: int, more: int, seed: int):
    torch.manual_seed(seed)
    loss = semckd(batch + more).double().eval()
    inputs = {name: [x.double() for x in value] for name, value in layers(batch).items()}
    assert loss(**inputs).item() == pytest.approx(slow(**inputs, loss=loss), rel=1e-9)


def test_gradient_is_that_of_finite_differences():
    inputs = {name: [x.double() for x in value] for name, value in layers(2).items()}
    loss = semckd(2).double().eval()
    students = [feature.requires_grad_() for feature in inputs["student"]]
    assert torch.autograd.gradcheck(lambda *s: loss(list(s), inputs["teacher"]), students)


def test_weights_of_a_layer_sum_to_one():
    inputs = layers(4)
    weights = semckd().attention(**inputs)
    assert weights.shape == (4, 2, 3)
    torch.testing.assert_close(weights.sum(2), torch.ones(4, 2))


def test_learns_to_follow_the_layer_that_fits():
    """The second of the teacher's layers is noise that no regressor can predict."""
    torch.manual_seed(0)
    loss = SemCKDLoss(8, [3, 3], [3])
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.01)
    student = torch.randn(8, 3, 4, 4)
    for _ in range(150):
        teacher = [student.flip(1), 3 * torch.randn(8, 3, 4, 4)]
        optimizer.zero_grad()
        loss([student], teacher).backward()
        optimizer.step()
    assert loss.attention([student], teacher)[:, 0, 0].mean() > 0.8


def test_refusals():
    assert refusal(lambda: semckd(4)(**layers(5))) == "a batch of 5 is larger than `batch_size`, 4"
    assert refusal(lambda: semckd(0)) == "`batch_size` must be >= 1, got 0"
    inputs = layers(2)
    assert (
        refusal(lambda: semckd()(inputs["student"], inputs["teacher"][:2]))
        == "configured for 2 layers of the student and 3 of the teacher, got 2 and 2"
    )
