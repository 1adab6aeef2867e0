"""MGDLoss against loops over samples, channels and positions; its masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import MGDLoss, keep_some

from .cases import Case
from .derivations import assert_continuous, refusal


def maps(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 5, 4, 4)}


def levels(batch: int) -> dict:
    return {
        "student": [torch.randn(batch, 3, 4, 4), torch.randn(batch, 3, 2, 2)],
        "teacher": [torch.randn(batch, 4, 4, 4), torch.randn(batch, 4, 3, 2)],
    }


CASES = [
    Case(name="MGDLoss", loss=MGDLoss, inputs=maps, permutes=False, splits=False),
    Case(
        name="MGDLoss-channels",
        loss=lambda: MGDLoss(0.3, "channels", 1, 3, 5),
        inputs=maps,
        permutes=False,
        splits=False,
    ),
    Case(name="MGDLoss-nothing_hidden", loss=lambda: MGDLoss(0.0, levels=2), inputs=levels),
]


def convolved(feature: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 3×3 convolution of one sample by loops."""
    out, into, *_ = weight.shape
    height, width = feature.shape[1:]
    result = torch.zeros(out, height, width, dtype=torch.float64)
    for o in range(out):
        for y in range(height):
            for x in range(width):
                value = bias[o].item()
                for i in range(into):
                    for dy in (-1, 0, 1):
                        for dx in (-1, 0, 1):
                            if 0 <= y + dy < height and 0 <= x + dx < width:
                                value += (weight[o, i, dy + 1, dx + 1] * feature[i, y + dy, x + dx]).item()
                result[o, y, x] = value
    return result


@torch.no_grad()
def slow(student: Tensor, teacher: Tensor, kept: Tensor, loss: MGDLoss) -> float:
    total = 0.0
    align, generator = loss.aligns[0], loss.generators[0]
    for s, t, k in zip(student, teacher, kept, strict=True):
        aligned = torch.einsum("oi,ihw->ohw", align.weight, s) + align.bias[:, None, None]
        hidden = convolved(aligned * k, generator.first.weight, generator.first.bias).clamp(min=0)
        built = convolved(hidden, generator.second.weight, generator.second.bias)
        total += sum((a - b) ** 2 for a, b in zip(built.flatten().tolist(), t.flatten().tolist(), strict=True))
    return total / len(student)


@pytest.mark.parametrize("hidden", ["positions", "channels"])
@given(shape=st.tuples(*[st.integers(1, 2)] * 5), ratio=st.floats(0, 1), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(hidden: str, shape: tuple[int, ...], ratio: float, seed: int):
    batch, ours, theirs, height, width = shape
    torch.manual_seed(seed)
    student = torch.randn(batch, ours, height, width, dtype=torch.float64)
    teacher = torch.randn(batch, theirs, height, width, dtype=torch.float64)
    loss = MGDLoss(ratio, hidden, 1, ours, theirs).double()
    torch.manual_seed(seed)
    kept = keep_some(torch.ones_like(teacher), ratio, hidden)
    torch.manual_seed(seed)
    assert loss(student, teacher).item() == pytest.approx(slow(student, teacher, kept, loss), rel=1e-9)


def test_gradient_is_that_of_finite_differences():
    inputs = {name: value.double() for name, value in maps(2).items()}
    loss = MGDLoss(0.5, student_channels=3, teacher_channels=5).double()

    def value(student: Tensor) -> Tensor:
        torch.manual_seed(5)
        return loss(student, inputs["teacher"])

    assert torch.autograd.gradcheck(value, inputs["student"].requires_grad_())


@pytest.mark.parametrize(("hidden", "patterns"), [("positions", 3 * 16), ("channels", 3 * 5)])
def test_what_is_hidden_is_hidden_as_a_whole(hidden: str, patterns: int):
    kept = keep_some(torch.ones(3, 5, 4, 4), 0.5, hidden)
    groups = kept.movedim(1, -1).reshape(-1, 5) if hidden == "positions" else kept.reshape(-1, 16)
    assert len(groups) == patterns
    assert all(group.all() or not group.any() for group in groups)
    assert 0 < kept.mean() < 1


@pytest.mark.parametrize("ratio", [0.0, 0.15, 0.65, 1.0])
def test_the_share_that_is_hidden_is_the_ratio(ratio: float):
    kept = keep_some(torch.ones(100, 1, 20, 20), ratio)
    assert kept.mean().item() == pytest.approx(1 - ratio, abs=0.01)


@given(ratio=st.floats(0, 1 - 1e-6))
def test_is_continuous_in_the_ratio(ratio: float):
    inputs = {name: value.double() for name, value in maps(1).items()}
    loss = MGDLoss(0.5, student_channels=3, teacher_channels=5).double()

    def value(at: float) -> Tensor:
        torch.manual_seed(0)
        loss.ratio = at
        return loss(**inputs)

    assert_continuous(value, ratio, step=1e-9)


def test_levels_have_generators_of_their_own_and_add_up():
    loss, inputs = MGDLoss(0.0, levels=2), levels(4)
    value = loss(**inputs)
    single = MGDLoss(0.0)
    parts = []
    for level in range(2):
        single.aligns[0], single.generators[0] = loss.aligns[level], loss.generators[level]
        parts.append(single(inputs["student"][level], inputs["teacher"][level]))
    torch.testing.assert_close(value, parts[0] + parts[1])


def test_refusals():
    feature = torch.zeros(1, 2, 2, 2)
    assert refusal(lambda: MGDLoss(1.5)) == "`ratio` must be >= 0 and <= 1, got 1.5"
    assert refusal(lambda: MGDLoss(hidden="rows")) == "`hidden` must be 'positions' or 'channels', got 'rows'"
    assert refusal(lambda: MGDLoss()([feature] * 2, [feature] * 2)) == "`levels` is 1, got 2 pairs of features"
