"""Features of several layouts: conversions against a plain loop, and losses that refuse channels-last maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from distill_core import losses
from distill_core.layers import map_to_tokens, require_same_layout, resize_map, tokens_to_map

LOSSES = {
    "ATLoss": {}, "CWDLoss": {}, "DABLoss": {}, "FitNetLoss": {}, "FSPLoss": {}, "ICKDLoss": {}, "KRLoss": {"levels": 1},
    "MGDLoss": {}, "NSTLoss": {}, "OFDLoss": {}, "PairwiseLoss": {}, "PKDLoss": {}, "SimKDLoss": {}, "VIDLoss": {},
    "VKDLoss": {}, "WKDFLoss": {},
}  # fmt: skip
SHAPES = {
    "channels-last": ((2, 6, 6, 5), (2, 6, 6, 8)),
    "of equal width": ((2, 6, 6, 5), (2, 6, 6, 5)),
    "of two sizes": ((2, 3, 3, 5), (2, 6, 6, 8)),
    "not square": ((2, 6, 9, 5), (2, 6, 9, 8)),
    "teacher channels-last": ((2, 4, 6, 6), (2, 6, 6, 8)),
    "student channels-last": ((2, 3, 3, 5), (2, 8, 6, 6)),
    "tokens and map": ((2, 37, 5), (2, 8, 6, 6)),
    "map and tokens": ((2, 4, 6, 6), (2, 37, 8)),
}


def _call(name: str, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    levels = 2 if name == "FSPLoss" else 1
    if name == "OFDLoss":
        loss: nn.Module = losses.OFDLoss([torch.zeros(teacher.shape[1])])
    else:
        loss = getattr(losses, name)(**LOSSES[name])
    if name in {"FSPLoss", "KRLoss"}:
        value: torch.Tensor = loss([student] * levels, [teacher] * levels)
    else:
        value = loss(student, teacher)
    return value


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_refuses_features_of_another_layout_and_proposes_an_adapter(name, shapes):
    with pytest.raises(ValueError, match=r"tap: TAP, as: (map|tokens)"):
        _call(name, *(torch.randn(shape) for shape in shapes))


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 4, 6, 6), (2, 8, 6, 6)),
        ((2, 6, 6, 6), (2, 6, 6, 6)),
        ((2, 4, 3, 5), (2, 8, 6, 9)),  # rounded down and up by strides
        ((2, 4, 6, 9), (2, 8, 6, 9)),
        ((2, 5, 8, 4, 4), (2, 6, 8, 4, 4)),
        ((2, 7, 5), (2, 7, 9)),
    ],
)
def test_channels_first_maps_pass(shapes):
    require_same_layout(*(torch.zeros(shape) for shape in shapes))


def test_a_map_in_channels_last_memory_format_is_channels_first():
    student, teacher = torch.zeros(2, 6, 6, 9), torch.zeros(2, 6, 6, 9)
    with pytest.raises(ValueError, match="look like"):
        require_same_layout(student, teacher)
    require_same_layout(student.contiguous(memory_format=torch.channels_last), teacher)


def test_tokens_are_placed_row_by_row():
    tokens = torch.arange(2 * 7 * 3).view(2, 7, 3)
    found = tokens_to_map(tokens, num_prefix_tokens=1, grid=(2, 3))
    for row in range(2):
        for column in range(3):
            assert found[:, :, row, column].equal(tokens[:, 1 + 3 * row + column])
    assert map_to_tokens(found).equal(tokens[:, 1:])


@pytest.mark.parametrize(("count", "prefix"), [(197, 1), (196, 0), (201, 5), (198, 2)])
def test_the_only_fitting_number_of_prefix_tokens_is_found(count, prefix):
    tokens = torch.randn(1, count, 2)
    assert tokens_to_map(tokens).equal(tokens_to_map(tokens, prefix, (14, 14)))


@pytest.mark.parametrize(
    ("count", "arguments", "message"),
    [
        (5, {}, "after 1 or 4 prefix tokens"),
        (14, {"grid": (3, 2)}, "do not form a grid of 3×2"),
        (197, {"num_prefix_tokens": 0}, "do not form a grid that is square after 0 prefix tokens"),
    ],
)
def test_tokens_that_fit_no_grid_or_two_are_refused(count, arguments, message):
    with pytest.raises(ValueError, match=message):
        tokens_to_map(torch.zeros(1, count, 2), **arguments)


def test_resize_averages():
    feature = torch.arange(16.0).view(1, 1, 4, 4)
    assert resize_map(feature, (2, 2)).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert resize_map(feature, (2, 2), "bilinear").shape == (1, 1, 2, 2)


def test_maps_of_videos_are_regressed_and_pooled():
    loss = losses.FitNetLoss()
    student, teacher = torch.randn(2, 3, 4, 6, 6), torch.randn(2, 5, 8, 3, 3)
    value = loss(student, teacher)
    weight, bias = loss.regressor.weight, loss.regressor.bias
    mapped = torch.einsum("oc,bcthw->bothw", weight, student) + bias[:, None, None, None]
    pooled = mapped.unfold(3, 2, 2).unfold(4, 2, 2).mean((-1, -2))
    goal = teacher.unfold(2, 2, 2).mean(-1)
    torch.testing.assert_close(value, (pooled - goal).square().mean())
