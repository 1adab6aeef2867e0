"""USKDLoss against loops over samples and classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import USKDLoss, soft_others

from .cases import Case
from .derivations import assert_continuous, refusal, softmax, without


def labelled(batch: int) -> dict:
    return {
        "student": [3 * torch.randn(batch, 5), torch.randn(batch, 4, 3, 2)],
        "target": torch.randint(5, (batch,)),
    }


CASES = [
    Case(name="USKDLoss", loss=lambda: USKDLoss(5), inputs=labelled),
    Case(name="USKDLoss-code", loss=lambda: USKDLoss(5, channels=4, mu=0.5, mode="code"), inputs=labelled),
]


def slow_ranks(scores: list[float]) -> list[int]:
    return [1 + sum(other > score for other in scores) for score in scores]


def slow_others(s: list[float], weak: list[float], y: int, mode: str) -> list[float]:
    w, p = softmax(weak), softmax(s)
    strong = p if mode == "paper" else [math.log(x) for x in p]
    scores = [a / (1 - w[y] + 1e-6) + b / (1 - strong[y] + 1e-6) for a, b in zip(w, strong, strict=True)]
    if mode == "paper":
        zipf = [1 / rank for rank in slow_ranks(without(scores, y))]
    else:
        zipf = without([1 / rank for rank in slow_ranks(scores)], y)
    return [z / sum(zipf) for z in zipf]


def slow(loss: USKDLoss, logits, feature, target) -> float:
    weight, bias = loss.head.weight.tolist(), loss.head.bias.tolist()
    rows, labels = logits.tolist(), target.tolist()
    squares = [softmax(row)[y] ** 2 for row, y in zip(rows, labels, strict=True)]
    total = 0.0
    for row, maps, y, square in zip(rows, feature, labels, squares, strict=True):
        pooled = [sum(map_.flatten().tolist()) / map_.numel() for map_ in maps]
        weak = [sum(a * b for a, b in zip(w, pooled, strict=True)) + c for w, c in zip(weight, bias, strict=True)]
        total -= loss.alpha * (square + 1 - sum(squares) / len(squares)) * math.log(softmax(row)[y])
        others = softmax(without(row, y))
        z = slow_others(row, weak, y, loss.mode)
        total -= loss.beta * sum(a * math.log(b) for a, b in zip(z, others, strict=True))
        smooth = [0.1 / len(row) + 0.9 * (c == y) for c in range(len(row))]
        total -= loss.mu * sum(a * math.log(b) for a, b in zip(smooth, softmax(weak), strict=True))
    return total / len(rows)


def slow_of_two(loss: USKDLoss, logits, feature, target) -> float:
    """The same of probabilities as targets: two labels per sample, the most probable classes."""
    weight, bias = loss.head.weight.tolist(), loss.head.bias.tolist()
    rows, shares = logits.tolist(), target.tolist()
    labels = [sorted(range(len(row)), key=lambda c, row=row: -row[c])[:2] for row in shares]
    squares = [[softmax(row)[y] ** 2 for y in pair] for row, pair in zip(rows, labels, strict=True)]
    means = [sum(column) / len(rows) for column in zip(*squares, strict=True)]
    total = 0.0
    for row, x, share, pair, square in zip(rows, feature.tolist(), shares, labels, squares, strict=True):
        weak = softmax([sum(a * b for a, b in zip(w, x, strict=True)) + c for w, c in zip(weight, bias, strict=True)])
        p = softmax(row)
        for y, own, mean in zip(pair, square, means, strict=True):
            total -= loss.alpha * (own + share[y] - mean if share[y] else 0) * math.log(p[y])
        strong = p if loss.mode == "paper" else [math.log(x) for x in p]
        bottoms = [1 - sum(values[y] for y in pair) + 1e-6 for values in (weak, strong)]
        scores = [a / bottoms[0] + b / bottoms[1] for a, b in zip(weak, strong, strict=True)]
        rest = [c for c in range(len(row)) if c not in pair]
        ranked = rest if loss.mode == "paper" else range(len(row))
        zipf = [1 / (1 + sum(scores[d] > scores[c] for d in ranked)) for c in rest]
        others = softmax([row[c] for c in rest])
        total -= loss.beta * sum(z / sum(zipf) * math.log(q) for z, q in zip(zipf, others, strict=True))
        total -= loss.mu * sum((0.1 / len(row) + 0.9 * a) * math.log(b) for a, b in zip(share, weak, strict=True))
    return total / len(rows)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(seed=st.integers(0, 1000), numbers=st.tuples(*[st.floats(0, 3)] * 3))
def test_probabilities_as_targets_equal_the_slow_derivation(mode: str, seed: int, numbers: tuple):
    torch.manual_seed(seed)
    loss = USKDLoss(6, *numbers, channels=3, mode=mode).double()
    logits, feature = torch.randn(5, 6, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    target = torch.zeros(5, 6, dtype=torch.float64)
    for row, share in zip(target, (0.3, 0.6, 0.9, 0.01, 0.7), strict=True):
        first, second = torch.randperm(6)[:2]
        row[first], row[second] = share, 1 - share
    expected = slow_of_two(loss, logits, feature, target)
    assert loss([logits, feature], target).item() == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_a_label_of_probability_0_adds_nothing():
    """Of one-hot targets, the second label is any class; only the others' classes depend on it."""
    loss, inputs = USKDLoss(5, beta=0.0, channels=4), labelled(6)
    one_hot = torch.nn.functional.one_hot(inputs["target"], 5).float()
    torch.testing.assert_close(loss(inputs["student"], one_hot), loss(**inputs))


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_excluded_classes_change_nothing_with_probabilities(mode: str):
    logits, feature = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    target = torch.zeros(4, 6, dtype=torch.float64)
    target[:, 1], target[:, 4] = 0.3, 0.7
    kept = torch.tensor([0, 1, 2, 4, 5])
    whole, smaller = (USKDLoss(n, channels=3, mode=mode).double() for n in (6, 5))
    smaller.head.weight.data, smaller.head.bias.data = whole.head.weight.data[kept], whole.head.bias.data[kept]
    hidden = logits.clone()
    hidden[:, 3] = -torch.inf
    expected = smaller([logits[:, kept], feature], target[:, kept])
    torch.testing.assert_close(whole([hidden, feature], target), expected)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(seed=st.integers(0, 1000), numbers=st.tuples(*[st.floats(0, 3)] * 3))
def test_equals_the_slow_derivation(mode: str, seed: int, numbers: tuple):
    torch.manual_seed(seed)
    loss = USKDLoss(4, *numbers, channels=3, mode=mode).double()
    logits, feature = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 3, 2, 2, dtype=torch.float64)
    target = torch.randint(4, (5,))
    expected = slow(loss, logits, feature, target)
    assert loss([logits, feature], target).item() == pytest.approx(expected, rel=1e-8)


def test_soft_labels_follow_zipf():
    logits = torch.tensor([[5.0, 3.0, 2.0, 1.0]])
    target = torch.tensor([0])
    torch.testing.assert_close(soft_others(logits, logits, target), torch.tensor([[6 / 11, 3 / 11, 2 / 11]]))
    torch.testing.assert_close(soft_others(logits, logits, target, "code"), torch.tensor([[6 / 13, 4 / 13, 3 / 13]]))


def test_only_the_weak_loss_trains_the_weak_head():
    inputs = labelled(6)
    gradients = []
    for alpha, beta in ((0.0, 0.0), (2.0, 3.0)):
        torch.manual_seed(0)
        loss = USKDLoss(5, alpha, beta, mu=1.0, channels=4)
        loss(**inputs).backward()
        gradients.append(loss.head.weight.grad)
    torch.testing.assert_close(*gradients)


def test_gradient_is_that_of_finite_differences_with_the_labels_constant():
    """A batch of one: its target's label is 1 whatever p is, and ranks do not change by little."""
    loss = USKDLoss(4, channels=3, mu=0.5).double()
    logits, feature = torch.randn(1, 4, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)
    target = torch.tensor([2])
    leaves = logits.requires_grad_(), feature.requires_grad_()
    assert torch.autograd.gradcheck(lambda s, f: loss([s, f], target), leaves)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_is_continuous_in_each_number(value: float):
    inputs = labelled(6)
    for name in ("alpha", "beta", "mu"):
        loss = USKDLoss(5, channels=4)

        def at(x: float, loss: USKDLoss = loss, name: str = name) -> torch.Tensor:
            setattr(loss, name, x)
            return loss(**inputs)

        assert_continuous(at, value)


def test_what_makes_no_sense_is_refused():
    assert refusal(lambda: USKDLoss(3)([torch.zeros(2, 3)], torch.zeros(2, dtype=torch.long))) == (
        "`student` takes [logits, feature], got 1 tensors"
    )
    assert refusal(lambda: USKDLoss(3)([torch.zeros(2, 3), torch.zeros(2, 4)], torch.zeros(2, 5))) == (
        "`target` must be probabilities of shape (2, 3), as the logits, got (2, 5)"
    )
    assert refusal(lambda: USKDLoss(3, alpha=-1.0)) == "`alpha` must be >= 0, got -1.0"
    assert refusal(lambda: USKDLoss(3, mode="both")) == "`mode` must be 'paper' or 'code', got 'both'"
