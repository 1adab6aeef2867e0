"""WKDLLoss against Sinkhorn steps by loops, on the classes other than the target."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import WKDLLoss, cka_cost, cosine_cost, transport_cost

from .cases import Case
from .derivations import assert_continuous, labelled_batches, refusal, softmax, without


def costs(classes: int = 5) -> torch.Tensor:
    """Between numbers on a line, from 0 to 1."""
    place = torch.linspace(0, 1, classes)
    return (place - place[:, None]).abs()


def labelled(batch: int) -> dict:
    return {
        "student": 3 * torch.randn(batch, 5),
        "teacher": 3 * torch.randn(batch, 5),
        "target": torch.randint(5, (batch,)),
    }


CASES = [Case(name="WKDLLoss", loss=lambda: WKDLLoss(costs()), inputs=labelled)]


def slow_distance(p: list[float], q: list[float], cost: list[list[float]], epsilon: float, steps: int) -> float:
    """Scale rows and columns of e^(−c/ε) in turn, the rows last."""
    count = len(p)
    kernel = [[math.exp(-c / epsilon) for c in row] for row in cost]
    u, v = [1.0] * count, [1.0] * count
    for _ in range(steps):
        v = [q[j] / sum(kernel[i][j] * u[i] for i in range(count)) for j in range(count)]
        u = [p[i] / sum(kernel[i][j] * v[j] for j in range(count)) for i in range(count)]
    return sum(u[i] * kernel[i][j] * v[j] * cost[i][j] for i in range(count) for j in range(count))


def slow(student, teacher, target, gamma: float, temperature: float, cost, epsilon: float, steps: int) -> float:
    total = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        total -= softmax(t)[y] * math.log(softmax(s)[y])
        margins = [softmax(without(x, y), temperature) for x in (s, t)]
        rest = [without(row, y) for number, row in enumerate(cost.tolist()) if number != y]
        total += gamma * slow_distance(*margins, rest, epsilon, steps)
    return total / len(target)


@given(batch=labelled_batches(), epsilon=st.floats(0.05, 1), steps=st.integers(1, 6), temperature=st.floats(1, 4))
def test_equals_the_slow_derivation(batch: tuple, epsilon: float, steps: int, temperature: float):
    cost = costs(batch[0].shape[1]).double().triu() + 0.3 * costs(batch[0].shape[1]).double().tril()
    value = WKDLLoss(cost, 3.0, temperature, epsilon, steps).double()(*batch)
    expected = slow(*batch, 3.0, temperature, cost, epsilon, steps)
    assert value.item() == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_many_steps_and_little_blur_give_the_distance_on_a_line():
    """There it is the sum of the differences of the summed probabilities."""
    p, q = torch.softmax(torch.randn(2, 3, 5, dtype=torch.float64), dim=2)
    moved = transport_cost(p.log(), q.log(), costs().double(), epsilon=0.01, steps=3000)
    expected = (p.cumsum(1) - q.cumsum(1)).abs()[:, :-1].sum(1) / 4
    torch.testing.assert_close(moved, expected, rtol=2e-2, atol=5e-3)


def test_to_confuse_near_classes_costs_less():
    teacher, target = torch.tensor([[9.0, 8.0, 0.0, 0.0, 0.0]]), torch.tensor([0])
    values = []
    for wrong in range(2, 5):
        student = torch.zeros(1, 5).index_fill_(1, torch.tensor([0, wrong]), 8.0)
        values.append(WKDLLoss(costs(), temperature=1.0)(student, teacher, target).item())
    assert values == sorted(values)
    assert values[0] < 0.6 * values[-1]


def test_costs_of_a_classifier():
    weight = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    torch.testing.assert_close(cosine_cost(weight), torch.tensor([[0.0, 1, 2], [1, 0, 1], [2, 1, 0]]))


def test_cka_of_features_by_loops():
    features = torch.randn(3, 6, 4, dtype=torch.float64)
    centred = [x - x.mean(0) for x in features]
    for i, x in enumerate(centred):
        for j, y in enumerate(centred):
            alignment = (y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())
            assert cka_cost(features)[i, j].item() == pytest.approx(1 - alignment.item(), abs=1e-9)


def test_cka_pairs_samples_and_ignores_the_axes_of_features():
    features, order = torch.randn(3, 6, 4, dtype=torch.float64), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(cka_cost(features[:, order]), cka_cost(features))
    rotation, _ = torch.linalg.qr(torch.randn(3, 4, 4, dtype=torch.float64))
    torch.testing.assert_close(cka_cost(features @ rotation), cka_cost(features))
    other = torch.stack([features[0][order], *features[1:]])
    assert (cka_cost(other)[0, 1:] - cka_cost(features)[0, 1:]).abs().min() > 1e-3


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 5, dtype=torch.float64)
    loss = WKDLLoss(costs().double(), 2.0, 1.5, 0.3, 4).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, torch.tensor([0, 3, 1])), student.requires_grad_())


@pytest.mark.parametrize("value", [0.0, 1.0, 4.0])
def test_is_continuous_in_each_number(value: float):
    inputs = labelled(4)
    assert_continuous(lambda x: WKDLLoss(costs(), gamma=x)(**inputs), value)
    assert_continuous(lambda x: WKDLLoss(costs(), temperature=x)(**inputs), value + 0.5)
    assert_continuous(lambda x: WKDLLoss(costs(), epsilon=x)(**inputs), value + 0.05)


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)
    assert refusal(lambda: WKDLLoss(costs())(*shapes)) == (
        "`student` (2, 3) and `teacher` (2, 4) must have the same shape"
    )
    assert refusal(lambda: WKDLLoss(torch.zeros(2, 3))) == "`cost` must be (classes, classes), got (2, 3)"
    assert refusal(lambda: WKDLLoss(-costs())) == "`cost` must be ≥ 0"
    assert refusal(lambda: WKDLLoss(100 * costs())) == (
        "the greatest cost, 100, must be at most 80 times `epsilon`, 0.05: raise it, or scale the costs"
    )
    assert refusal(lambda: WKDLLoss(costs(), steps=0)) == "`steps` must be >= 1, got 0"
    assert refusal(lambda: WKDLLoss(costs(), gamma=-1.0)) == "`gamma` must be >= 0, got -1.0"
