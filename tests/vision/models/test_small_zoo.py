"""The models that tables of CIFAR distillation are made of: counts, names, any size and number of channels."""

from __future__ import annotations

import pytest
import torch

from distill_vision import models

# On 100 classes; in millions these are the sizes that the papers' tables give (1.23, 7.43, 3.97, 9.46, 0.81, 0.95, 1.36).
COUNTS = {
    "resnet8x4": 1233540,
    "resnet32x4": 7433860,
    "vgg8": 3965028,
    "vgg13": 9462180,
    "mobilenetv2": 812836,
    "shufflenetv1": 949258,
    "shufflenetv2": 1355528,
}


@pytest.mark.parametrize(("name", "parameters"), COUNTS.items())
def test_counts(name, parameters):
    with torch.device("meta"):
        model = getattr(models, name)(num_classes=100)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", [name for name in COUNTS if name not in ("resnet32x4", "vgg13")])
@pytest.mark.parametrize("size", [(1, 1), (32, 32), (28, 37)])
def test_any_size_and_number_of_channels(name, size):
    model = getattr(models, name)(num_classes=5, in_channels=2).eval()
    assert model(torch.randn(2, 2, *size)).shape == (2, 5)


# Where the resolution is halved, and the channels after each stage: on images of 32×32.
MAPS = {
    "resnet8x4": {"conv1": (32, 32), "layer1": (64, 32), "layer2": (128, 16), "layer3": (256, 8)},
    "vgg8": {"block0": (64, 32), "block1": (128, 16), "block2": (256, 8), "block3": (512, 4), "block4": (512, 4)},
    "mobilenetv2": {
        "conv1": (16, 16),
        "blocks.1": (12, 16),
        "blocks.2": (16, 8),
        "blocks.4": (48, 4),
        "conv2": (1280, 2),
    },
    "shufflenetv1": {"conv1": (24, 32), "layer1": (240, 16), "layer2": (480, 8), "layer3": (960, 4)},
    "shufflenetv2": {
        "conv1": (24, 32),
        "layer1": (116, 16),
        "layer2": (232, 8),
        "layer3": (464, 4),
        "conv2": (1024, 4),
    },
}


@pytest.mark.parametrize(("name", "expected"), MAPS.items())
def test_maps(name, expected):
    from distill_core.hooks import Capture

    with torch.device("meta"):
        model, images = getattr(models, name)().eval(), torch.empty(1, 3, 32, 32)
    with Capture(model, list(expected)) as maps:
        model(images)
    assert {at: (maps[at].shape[1], maps[at].shape[2]) for at in expected} == expected


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("resnet8x4", ["layer1.0.downsample.0.weight", "layer3.0.downsample.1.bias", "fc.weight"]),
        ("vgg13", ["block0.0.bias", "block0.4.running_var", "block4.3.weight", "classifier.bias"]),
        (
            "mobilenetv2",
            ["conv1.0.weight", "blocks.0.0.conv.7.bias", "blocks.3.3.conv.6.weight", "classifier.0.weight"],
        ),
        ("shufflenetv1", ["conv1.weight", "layer2.7.conv3.weight", "layer1.0.bn2.running_mean", "linear.bias"]),
        ("shufflenetv2", ["layer1.0.conv5.weight", "layer3.3.bn3.weight", "conv2.weight", "linear.weight"]),
    ],
)
def test_names_are_those_of_the_public_weights(name, some):
    with torch.device("meta"):
        assert set(some) <= set(getattr(models, name)().state_dict())


def test_the_taps_of_vgg_come_before_the_relu():
    model = models.vgg8().eval()
    assert [type(layer).__name__ for layer in model.block0] == ["Conv2d", "BatchNorm2d"]


def test_shuffling_deals_out_the_groups():
    from distill_vision.models._shufflenetv1 import shuffle_channels

    assert shuffle_channels(torch.arange(6.0).view(1, 6, 1, 1), 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_a_split_unit_leaves_the_first_half_alone():
    unit = models.shufflenetv2().layer1[1].eval()
    features = torch.randn(2, 116, 4, 4)
    assert torch.equal(unit(features)[:, ::2], features[:, :58])


def test_a_vgg_has_five_blocks():
    with pytest.raises(ValueError) as error:
        models.CifarVGG([[64], [128]])
    assert str(error.value) == "`widths` must have 5 blocks, got 2"
