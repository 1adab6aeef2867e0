"""StageHead: class logits from maps and from sequences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.layers import NormalisedConv, StageHead


def depthwise(feature: Tensor, weight: Tensor, stride: int) -> Tensor:
    windows = F.pad(feature, (1, 1, 1, 1)).unfold(2, 3, stride).unfold(3, 3, stride)
    return torch.einsum("nchwij,cij->nchw", windows, weight[:, 0])


def test_maps_by_hand():
    head, feature = StageHead(4, 3, width=6, halvings=1).eval(), torch.randn(2, 4, 5, 5)
    convolutions = [layer.weight for layer in head.body.modules() if isinstance(layer, nn.Conv2d | NormalisedConv)]
    hidden = feature
    for spatial, pointwise, stride in ((*convolutions[:2], 2), (*convolutions[2:], 1)):
        mixed = torch.einsum("nchw,dc->ndhw", depthwise(hidden, spatial, stride), pointwise[:, :, 0, 0])
        hidden = (mixed / (1 + 1e-5) ** 0.5).relu()
    assert hidden.shape == (2, 6, 3, 3)
    torch.testing.assert_close(head(feature), hidden.mean((2, 3)) @ head.linear.weight.T + head.linear.bias)


def test_the_last_stage_has_one_convolution():
    head, feature = StageHead(4, 3, width=6), torch.randn(2, 4, 5, 5)
    hidden = torch.einsum("nchw,dc->ndhw", feature, head.body[0].weight[:, :, 0, 0]) + head.body[0].bias[:, None, None]
    torch.testing.assert_close(head(feature), hidden.mean((2, 3)) @ head.linear.weight.T + head.linear.bias)


@pytest.mark.parametrize("halvings", [0, 1, 3])
def test_blocks_double_the_channels_and_halve_the_map(halvings: int):
    head, feature = StageHead(4, 3, width=7, halvings=halvings), torch.randn(2, 4, 16, 16)
    assert head.body(feature).shape == (2, 7, 16 // 2**halvings, 16 // 2**halvings)
    inside = [(block[0] if halvings else block).in_channels for block in head.body]
    assert inside == [4 * 2**n for n in range(max(halvings, 1))]
    assert StageHead(4, 3, halvings=halvings).linear.in_features == 4 * 2**halvings


def test_one_value_per_channel_is_refused_in_training():
    head, feature = StageHead(4, 3, halvings=2), torch.randn(1, 4, 4, 4)
    assert head.eval()(feature).shape == (1, 3)
    with pytest.raises(ValueError, match="needs more than one value per channel in training mode"):
        head.train()(feature)


def test_sequences_by_hand():
    head, feature = StageHead(4, 3, sequences=True), torch.randn(2, 7, 4)
    mean, variance = feature.mean(2, keepdim=True), feature.var(2, keepdim=True, correction=0)
    pooled = ((feature - mean) / (variance + 1e-5).sqrt()).mean(1)
    torch.testing.assert_close(head(feature), pooled @ head.linear.weight.T + head.linear.bias)
