"""FSPLoss against loops over flows, samples, channels and positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.losses import FSPLoss, fsp_matrix

from .cases import Case
from .derivations import refusal


def two_flows(batch: int) -> dict:
    """Maps of the student are of another size than the teacher's, and shrink within the second flow."""
    ours = [(3, 4, 4), (5, 4, 4), (3, 4, 4), (4, 2, 2)]
    theirs = [(3, 6, 6), (5, 6, 6), (3, 6, 6), (4, 3, 3)]
    return {
        name: [torch.randn(batch, *shape) for shape in shapes]
        for name, shapes in (("student", ours), ("teacher", theirs))
    }


def one_flow(batch: int) -> dict:
    return {name: [torch.randn(batch, c, 4, 4) for c in (3, 5)] for name in ("student", "teacher")}


CASES = [
    Case(name="FSPLoss", loss=FSPLoss, inputs=two_flows, overflows_half=True),
    Case(name="FSPLoss-equal", loss=FSPLoss, inputs=one_flow, zero_at_equality=True, overflows_half=True),
    Case(
        name="FSPLoss-code", loss=lambda: FSPLoss("code"), inputs=one_flow, zero_at_equality=True, overflows_half=True
    ),
]


def flow(first: list, second: list) -> list[list[float]]:
    """The matrix of one sample, of nested lists of the same height and width."""
    positions = [(y, x) for y in range(len(first[0])) for x in range(len(first[0][0]))]
    return [[sum(f[y][x] * g[y][x] for y, x in positions) / len(positions) for g in second] for f in first]


def slow(student: list[Tensor], teacher: list[Tensor], mode: str) -> float:
    total = 0.0
    for i in range(0, len(student), 2):
        squares: list[float] = []
        for n in range(len(student[0])):
            ours, theirs = (flow(x[i][n].tolist(), x[i + 1][n].tolist()) for x in (student, teacher))
            squares += [(a - b) ** 2 for r, q in zip(ours, theirs, strict=True) for a, b in zip(r, q, strict=True)]
        total += sum(squares) / (len(student[0]) if mode == "paper" else len(squares))
    return total


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(shape=st.tuples(*[st.integers(1, 3)] * 5), flows=st.integers(1, 2), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(mode: str, shape: tuple[int, ...], flows: int, seed: int):
    batch, m, n, height, width = shape
    torch.manual_seed(seed)
    student, teacher = (
        [torch.randn(batch, c, height, width, dtype=torch.float64) for c in (m, n) * flows] for _ in range(2)
    )
    assert FSPLoss(mode)(student, teacher).item() == pytest.approx(slow(student, teacher, mode), rel=1e-9)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_gradient_is_that_of_finite_differences(mode: str):
    inputs = {name: [x.double() for x in maps] for name, maps in one_flow(2).items()}
    first, second = (x.requires_grad_() for x in inputs["student"])
    assert torch.autograd.gradcheck(lambda *s: FSPLoss(mode)(s, inputs["teacher"]), (first, second))


def test_maps_of_two_sizes_are_brought_to_the_smaller_by_their_maxima():
    first, second = torch.randn(2, 3, 4, 2), torch.randn(2, 5, 2, 2)
    halved = torch.maximum(first[:, :, 0::2], first[:, :, 1::2])
    torch.testing.assert_close(fsp_matrix(first, second), fsp_matrix(halved, second))


def test_an_odd_number_of_features_is_refused():
    assert refusal(lambda: FSPLoss()([torch.zeros(1, 2, 3, 3)] * 3, [torch.zeros(1, 2, 3, 3)] * 2)) == (
        "`student` has 3 features: give two per flow, its start and its end"
    )


def test_other_numbers_of_channels_are_refused():
    assert refusal(lambda: FSPLoss()([torch.zeros(1, 2, 3, 3)] * 2, [torch.zeros(1, 4, 3, 3)] * 2)) == (
        "`student` (1, 2, 2) and `teacher` (1, 4, 4) must have the same shape"
    )


def test_invalid_hyper_parameters_are_refused():
    assert refusal(lambda: FSPLoss("cod")) == "`mode` must be 'paper' or 'code' or 'torchdistill', got 'cod'"
