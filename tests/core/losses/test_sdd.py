"""SDDLoss against loops over scales, cells and samples."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from distill_core.losses import DKDLoss, KDLoss, SDDLoss

from .cases import Case
from .derivations import assert_continuous, kl, refusal, softmax, without


class FixedHead(nn.Module):
    """A classifier of any precision, without parameters of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(5, channels))

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors @ self.weight.to(vectors.dtype).T


def maps(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), FixedHead(3)],
        "teacher": [torch.randn(batch, 6, 8, 8), FixedHead(6)],
        "target": torch.randint(5, (batch,)),
    }


def one_head(batch: int) -> dict:
    inputs = maps(batch)
    return {**inputs, "teacher": [torch.randn(batch, 3, 4, 4), inputs["student"][1]]}


CASES = [
    Case(name="SDDLoss", loss=SDDLoss, inputs=maps),
    Case(name="SDDLoss-dkd", loss=lambda: SDDLoss((1, 2), "dkd"), inputs=one_head, zero_at_equality=True),
]


def slow_cells(map_: Tensor, weight: Tensor, scale: int) -> list[list[float]]:
    size = map_.shape[1] // scale
    rows = []
    for top in range(scale):
        for left in range(scale):
            cell = map_[:, top * size : (top + 1) * size, left * size : (left + 1) * size]
            rows.append((weight @ cell.flatten(1).mean(1)).tolist())
    return rows


def slow_divergence(s: list[float], t: list[float], y: int, base: str, temperature: float) -> float:
    p, q = softmax(t, temperature), softmax(s, temperature)
    if base == "kd":
        return temperature**2 * kl(p, q)
    rest = softmax(without(t, y), temperature), softmax(without(s, y), temperature)
    of_target = kl([p[y], sum(without(p, y))], [q[y], sum(without(q, y))])
    return temperature**2 * (0.5 * of_target + 3 * kl(*rest))


def right(logits: list[float], y: int) -> bool:
    return logits.index(max(logits)) == y


@pytest.mark.parametrize("base", ["kd", "dkd"])
@given(seed=st.integers(0, 1000), temperature=st.floats(0.5, 5), complementary=st.floats(0, 4))
def test_equals_the_slow_derivation(base: str, seed: int, temperature: float, complementary: float):
    torch.manual_seed(seed)
    heads = [torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)]
    student, teacher = torch.randn(3, 3, 4, 4, dtype=torch.float64), torch.randn(3, 6, 8, 8, dtype=torch.float64)
    target = torch.randint(5, (3,))
    total = 0.0
    for sample, y in enumerate(target.tolist()):
        whole = right(slow_cells(teacher[sample], heads[1], 1)[0], y)
        for scale in (1, 2, 4):
            cells = zip(
                slow_cells(student[sample], heads[0], scale), slow_cells(teacher[sample], heads[1], scale), strict=True
            )
            for s, t in cells:
                weight = complementary if right(t, y) != whole else 1.0
                total += weight * slow_divergence(s, t, y, base, temperature)
    loss = SDDLoss((1, 2, 4), base, temperature, 0.5, 3.0, complementary)
    value = loss([student, lambda x: x @ heads[0].T], [teacher, lambda x: x @ heads[1].T], target)
    assert value.item() == pytest.approx(total / (3 * 21), rel=1e-7)


def test_the_whole_alone_is_the_base():
    inputs = maps(4)
    logits = [inputs[name][1](inputs[name][0].mean((2, 3))) for name in ("student", "teacher")]
    torch.testing.assert_close(SDDLoss([1])(**inputs), KDLoss()(*logits))
    torch.testing.assert_close(SDDLoss([1], "dkd")(**inputs), DKDLoss()(*logits, inputs["target"]))


def test_the_students_head_learns_and_the_teachers_does_not():
    inputs, heads = maps(4), [nn.Linear(3, 5), nn.Linear(6, 5)]
    SDDLoss()([inputs["student"][0], heads[0]], [inputs["teacher"][0], heads[1]], inputs["target"]).backward()
    assert heads[0].weight.grad.any()
    assert heads[1].weight.grad is None


def test_a_head_in_half_precision_gets_what_it_takes():
    inputs, head = maps(4), nn.Linear(3, 5).bfloat16()
    value = SDDLoss()([inputs["student"][0].bfloat16(), head], inputs["teacher"], inputs["target"])
    assert value.dtype == torch.float32


def test_gradient_is_that_of_finite_differences():
    inputs = maps(2)
    student, teacher = inputs["student"][0].double(), inputs["teacher"][0].double()
    loss = SDDLoss((1, 2))

    def value(s: Tensor) -> Tensor:
        return loss([s, inputs["student"][1]], [teacher, inputs["teacher"][1]], inputs["target"])

    assert torch.autograd.gradcheck(value, student.requires_grad_())


@pytest.mark.parametrize("value", [0.0, 1.0, 2.0])
def test_is_continuous_in_each_number(value: float):
    inputs = maps(4)
    assert_continuous(lambda x: SDDLoss(temperature=x)(**inputs), value + 0.5)
    assert_continuous(lambda x: SDDLoss(complementary=x)(**inputs), value)
    assert_continuous(lambda x: SDDLoss(base="dkd", alpha=x)(**inputs), value)
    assert_continuous(lambda x: SDDLoss(base="dkd", beta=x)(**inputs), value)


def test_what_makes_no_sense_is_refused():
    assert refusal(lambda: SDDLoss(base="nkd")) == "`base` must be 'kd' or 'dkd', got 'nkd'"
    assert refusal(lambda: SDDLoss([0])) == "`scales` must be >= 1, got 0"
    assert refusal(lambda: SDDLoss(temperature=0.0)) == "`temperature` must be > 0, got 0.0"
    assert refusal(lambda: SDDLoss(complementary=-1.0)) == "`complementary` must be >= 0, got -1.0"
