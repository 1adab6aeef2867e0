"""KRLoss: the distance against loops over positions, the review against its pieces."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import KRLoss, hierarchical_context

from .cases import Case
from .derivations import refusal


def levels(batch: int) -> dict:
    """The last is pooled; the first has another size than the teacher's."""
    ours, theirs = [(3, 8, 8), (4, 4, 4), (5,)], [(4, 6, 6), (6, 4, 4), (7,)]
    return {
        name: [torch.randn(batch, *shape) for shape in shapes]
        for name, shapes in (("student", ours), ("teacher", theirs))
    }


CASES = [
    Case(name="KRLoss", loss=lambda: KRLoss(3, middle_channels=6), inputs=levels),
    Case(
        name="KRLoss-one",
        loss=lambda: KRLoss(1, middle_channels=6),
        inputs=lambda batch: {name: [value[1]] for name, value in levels(batch).items()},
    ),
]


def slow_pool(rows: list[list[float]], size: int) -> list[list[float]]:
    """Of a square map whose side is a multiple of the size."""
    step = len(rows) // size
    return [
        [
            sum(rows[y][x] for y in range(i * step, (i + 1) * step) for x in range(j * step, (j + 1) * step)) / step**2
            for j in range(size)
        ]
        for i in range(size)
    ]


def slow_mean(student: Tensor, teacher: Tensor, size: int) -> float:
    total, count = 0.0, 0
    for ours, theirs in zip(student.flatten(0, 1).tolist(), teacher.flatten(0, 1).tolist(), strict=True):
        for row, other in zip(slow_pool(ours, size), slow_pool(theirs, size), strict=True):
            total += sum((a - b) ** 2 for a, b in zip(row, other, strict=True))
            count += len(row)
    return total / count


@given(
    batch=st.integers(1, 2), channels=st.integers(1, 3), side=st.sampled_from([1, 2, 4, 8]), seed=st.integers(0, 1000)
)
def test_the_distance_equals_the_slow_derivation(batch: int, channels: int, side: int, seed: int):
    torch.manual_seed(seed)
    student, teacher = torch.randn(2, batch, channels, side, side, dtype=torch.float64)
    total, whole = slow_mean(student, teacher, side), 1.0
    for size, part in zip([size for size in (4, 2, 1) if size < side], (0.5, 0.25, 0.125), strict=False):
        total += part * slow_mean(student, teacher, size)
        whole += part
    assert hierarchical_context(student, teacher).item() == pytest.approx(total / whole, rel=1e-9)


def test_levels_are_reviewed_from_the_deepest_up():
    inputs, loss = levels(4), KRLoss(3, middle_channels=6)
    value = loss(**inputs)
    shallow, middle, deep = inputs["student"]
    goals = [*inputs["teacher"][:2], inputs["teacher"][2][:, :, None, None]]
    third, fused = loss.levels[2](deep[:, :, None, None], None, like=goals[2])
    second, fused = loss.levels[1](middle, fused, like=goals[1])
    first, _ = loss.levels[0](shallow, fused, like=goals[0])
    parts = [hierarchical_context(u, t) for u, t in zip((first, second, third), goals, strict=True)]
    torch.testing.assert_close(value, sum(parts))
    assert [level.attention is None for level in loss.levels] == [False, False, True]


@pytest.mark.parametrize(("deepest", "middle"), [(5, 5), (512, 512), (600, 512)])
def test_the_middle_has_the_channels_of_the_deepest_feature_at_most_512(deepest: int, middle: int):
    student, teacher = ([torch.randn(2, 3, 4, 4), torch.randn(2, deepest)] for _ in range(2))
    loss = KRLoss(2)
    loss(student, teacher)
    assert [level.reduce.weight.shape[0] for level in loss.levels] == [middle, middle]
    assert [level.restore.weight.shape[1] for level in loss.levels] == [middle, middle]
    assert loss.levels[0].attention.in_channels == 2 * middle


def test_convolutions_start_as_kaiming_uniform_with_slope_1():
    torch.manual_seed(0)
    loss, expected = KRLoss(3, middle_channels=40), torch.empty(7, 40, 3, 3)
    loss(**levels(4))
    torch.nn.init.kaiming_uniform_(expected, a=1)
    weight = loss.levels[2].restore.weight
    assert weight.std().item() == pytest.approx(expected.std().item(), rel=0.05)
    assert weight.abs().max().item() == pytest.approx((3 / (40 * 9)) ** 0.5, rel=0.01)


def test_gradient_is_that_of_finite_differences():
    inputs = {
        name: [x[:, :, :2, :2].double() if x.dim() == 4 else x.double() for x in values]
        for name, values in levels(3).items()
    }
    loss = KRLoss(3, middle_channels=2)
    loss(**{name: [x.float() for x in values] for name, values in inputs.items()})
    student = tuple(x.requires_grad_() for x in inputs["student"])
    assert torch.autograd.gradcheck(lambda *s: loss.double()(s, inputs["teacher"]), student)


def test_wrong_numbers_of_features_are_refused():
    one = [torch.zeros(1, 2, 2, 2)]
    assert refusal(lambda: KRLoss(3)(one, one)) == "`student` has 1 features for 3 levels"
    assert refusal(lambda: KRLoss(1)(one, one * 2)) == (
        "`student` has 1 features and `teacher` 2: give one of each per pair"
    )
