"""CIFAR ResNets: names and counts of the published weights, both shortcuts, any size."""

from __future__ import annotations

import pytest
import torch

from distill_vision import models

PUBLISHED = [(20, 272474, 128), (32, 466906, 200), (44, 661338, 272), (56, 855770, 344), (110, 1730714, 668)]


@pytest.mark.parametrize(("depth", "parameters", "entries"), PUBLISHED)
def test_counts_are_those_of_the_published_weights(depth, parameters, entries):
    with torch.device("meta"):
        model = getattr(models, f"resnet{depth}")()
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == entries


def test_the_depth_of_1202():
    with torch.device("meta"):
        model = models.resnet1202()
    assert [len(stage) for stage in (model.layer1, model.layer2, model.layer3)] == [200, 200, 200]
    assert sum(p.numel() for p in model.parameters()) == 19424026


def norm(name: str) -> list[str]:
    return [f"{name}.{entry}" for entry in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


def test_names_are_those_of_the_published_weights():
    expected = ["conv1.weight", *norm("bn1")]
    for stage in (1, 2, 3):
        for block in range(3):
            at = f"layer{stage}.{block}"
            expected += [f"{at}.conv1.weight", *norm(f"{at}.bn1"), f"{at}.conv2.weight", *norm(f"{at}.bn2")]
            if stage > 1 and block == 0:
                expected += [f"{at}.downsample.0.weight", *norm(f"{at}.downsample.1")]
    with torch.device("meta"):
        assert list(models.resnet20().state_dict()) == [*expected, "fc.weight", "fc.bias"]


def test_identity_shortcuts_have_no_parameters():
    with torch.device("meta"):
        # The paper's table 6: 0.27 M parameters; the projections' 32·16 + 64·32 weights and norms are gone.
        model = models.resnet20(shortcut="identity")
    assert sum(p.numel() for p in model.parameters()) == 272474 - (16 * 32 + 64) - (32 * 64 + 128)
    assert not [name for name in model.state_dict() if "downsample" in name]


def test_an_identity_shortcut_subsamples_and_pads_with_zeros():
    shortcut = models.resnet(8, shortcut="identity").layer2[0].downsample
    features = torch.randn(2, 16, 5, 4)
    out = shortcut(features)
    assert out.shape == (2, 32, 3, 2)
    assert torch.equal(out[:, 8:24], features[:, :, [0, 2, 4]][:, :, :, [0, 2]])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


@pytest.mark.parametrize("shortcut", ["projection", "identity"])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (28, 28), (33, 50)])
def test_any_size_and_number_of_channels(shortcut, size):
    model = models.resnet(8, num_classes=5, in_channels=4, shortcut=shortcut).eval()
    assert model(torch.randn(2, 4, *size)).shape == (2, 5)


def test_the_block_is_its_formula():
    block = models.resnet(8).layer2[0].eval()
    features = torch.randn(2, 16, 6, 6)
    inner = block.bn1(block.conv1(features)).relu()
    expected = (block.bn2(block.conv2(inner)) + block.downsample(features)).relu()
    assert torch.equal(block(features), expected)
    assert block.conv1.stride == (2, 2)


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_a_depth_that_does_not_fit_is_refused(depth):
    with pytest.raises(ValueError) as error:
        models.resnet(depth)
    assert str(error.value) == f"`depth` of a CIFAR ResNet must be 6n+2 (8, 14, 20, …), got {depth}"


def test_another_shortcut_is_refused():
    with pytest.raises(ValueError) as error:
        models.resnet20(shortcut="A")
    assert str(error.value) == "`shortcut` must be 'projection' or 'identity', got 'A'"
