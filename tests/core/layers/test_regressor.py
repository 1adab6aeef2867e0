"""Regressor: a 1×1 convolution on maps, a linear layer on the rest, its shape inferred or given."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from distill_core.layers import Regressor


def test_on_maps_it_is_a_pointwise_convolution():
    regressor, convolution = Regressor(3, 5), nn.Conv2d(3, 5, 1)
    convolution.load_state_dict({"weight": regressor.weight[:, :, None, None], "bias": regressor.bias})
    features = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(regressor(features, like=torch.zeros(2, 5, 1, 1)), convolution(features))


@pytest.mark.parametrize("shape", [(2, 3), (2, 7, 3)])
def test_on_vectors_and_sequences_it_is_linear(shape: tuple[int, ...]):
    regressor, linear, features = Regressor(3, 5), nn.Linear(3, 5), torch.randn(shape)
    linear.load_state_dict(regressor.state_dict())
    torch.testing.assert_close(regressor(features, like=features), linear(features))


def test_shapes_are_inferred_on_first_use_and_one_may_be_given():
    regressor = Regressor(out_channels=9)
    assert is_lazy(regressor.weight)
    regressor(torch.zeros(2, 3, 4, 4), like=torch.zeros(2, 5, 4, 4))
    assert regressor.weight.shape == (9, 3)
    assert regressor.bias.shape == (9,)
    assert not is_lazy(regressor.weight)
    assert str(regressor) == "Regressor(in_channels=3, out_channels=9)"


def test_starts_as_torch_starts_a_linear_layer():
    torch.manual_seed(0)
    weight = Regressor(64, 400).weight
    assert weight.abs().max() <= 1 / 8
    assert weight.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.02)


def test_weights_load_before_the_first_use():
    trained, fresh = Regressor(3, 5), Regressor()
    fresh.load_state_dict(trained.state_dict())
    features = torch.randn(2, 3)
    assert torch.equal(fresh(features, like=torch.zeros(2, 5)), trained(features, like=torch.zeros(2, 5)))


def test_features_of_another_rank_are_refused():
    with pytest.raises(ValueError) as error:
        Regressor()(torch.zeros(1, 2, 3, 4, 5, 6), like=torch.zeros(1, 2, 3, 4, 5, 6))
    assert str(error.value) == (
        "features are (batch, channels), (batch, tokens, channels), (batch, channels, height, width) or "
        "(batch, channels, frames, height, width), got (1, 2, 3, 4, 5, 6)"
    )


def test_without_a_bias_zero_stays_zero():
    regressor = Regressor(bias=False)
    mapped = regressor(torch.zeros(2, 3, 4, 4), like=torch.zeros(2, 5, 1, 1))
    assert [name for name, _ in regressor.named_parameters()] == ["weight"]
    assert not mapped.any()
