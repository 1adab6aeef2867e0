"""Wide ResNets: names and counts of the published weights, the pre-activation block, any size."""

from __future__ import annotations

import pytest
import torch

from distill_vision import models

COUNTS = [("16_8", 10961370), ("28_10", 36479194), ("40_1", 563930), ("40_2", 2243546), ("40_4", 8949210)]


@pytest.mark.parametrize(("name", "parameters"), COUNTS)
def test_counts(name, parameters):
    with torch.device("meta"):
        model = getattr(models, f"wide_resnet{name}")()
    assert sum(p.numel() for p in model.parameters()) == parameters


def norm(name: str) -> list[str]:
    return [f"{name}.{entry}" for entry in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


def test_names_are_those_of_the_published_weights():
    expected = ["conv1.weight"]
    for stage in (1, 2, 3):
        for block in range(2):
            at = f"layer{stage}.{block}"
            expected += [*norm(f"{at}.bn1"), f"{at}.conv1.weight", *norm(f"{at}.bn2"), f"{at}.conv2.weight"]
            if block == 0:
                expected += [f"{at}.shortcut.0.weight"]
    with torch.device("meta"):
        assert list(models.wide_resnet16_8().state_dict()) == [*expected, *norm("bn1"), "fc.weight", "fc.bias"]


def test_the_block_starts_its_shortcut_at_the_raw_input():
    block = models.wide_resnet(10, 2).layer2[0].eval()
    features = torch.randn(2, 32, 6, 6)
    inner = block.bn2(block.conv1(block.bn1(features).relu())).relu()
    assert torch.equal(block(features), block.conv2(inner) + block.shortcut[0](features))
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (28, 28), (33, 50)])
def test_any_size_and_number_of_channels(size):
    model = models.wide_resnet(10, 1, num_classes=5, in_channels=4).eval()
    assert model(torch.randn(2, 4, *size)).shape == (2, 5)


def test_dropout_works_in_training_only():
    model = models.wide_resnet(10, 1, dropout_p=0.5)
    images = torch.randn(4, 3, 8, 8)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_a_depth_that_does_not_fit_is_refused():
    with pytest.raises(ValueError) as error:
        models.wide_resnet(20, 2)
    assert str(error.value) == "`depth` of a wide ResNet must be 6n+4 (10, 16, 22, …), got 20"
