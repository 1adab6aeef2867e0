"""DenseNets: names and counts of the published weights, with and without bottleneck, any size."""

from __future__ import annotations

import pytest
import torch

from distill_vision import models


@pytest.mark.parametrize(
    ("name", "parameters"), [("k12_depth100", 769162), ("k24_depth250", 15324406), ("k40_depth190", 25624430)]
)
def test_counts(name, parameters):
    with torch.device("meta"):
        model = getattr(models, f"densenet_bc_{name}")()
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize(("depth", "growth_rate", "millions"), [(40, 12, 1.0), (100, 12, 7.0), (100, 24, 27.2)])
def test_plain_densenets_have_the_sizes_of_the_papers_table(depth, growth_rate, millions):
    with torch.device("meta"):
        model = models.densenet(depth, growth_rate, bottleneck=False, compression=1.0)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions
    assert not [name for name in model.state_dict() if "conv2" in name]


def norm(name: str) -> list[str]:
    return [f"{name}.{entry}" for entry in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


def test_names_are_those_of_the_published_weights():
    expected = ["features.conv0.weight"]
    for block in (1, 2, 3):
        for layer in range(1, 17):
            at = f"features.denseblock{block}.denselayer{layer}"
            expected += [*norm(f"{at}.norm1"), f"{at}.conv1.weight", *norm(f"{at}.norm2"), f"{at}.conv2.weight"]
        if block < 3:
            expected += [*norm(f"features.transition{block}.norm"), f"features.transition{block}.conv.weight"]
    expected += [*norm("features.norm5"), "classifier.weight", "classifier.bias"]
    with torch.device("meta"):
        assert list(models.densenet_bc_k12_depth100().state_dict()) == expected
    assert len(expected) == 596


def test_torchvisions_densenet_of_the_same_shape_computes_the_same():
    from torchvision.models import DenseNet

    theirs = DenseNet(growth_rate=4, block_config=(2, 2, 2), num_init_features=8, num_classes=10).eval()
    # theirs begins with a stride and a pooling for large images
    theirs.features.conv0 = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    theirs.features.norm0 = theirs.features.relu0 = theirs.features.pool0 = torch.nn.Identity()
    ours = models.densenet(16, 4).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize("bottleneck", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (8, 8), (28, 28), (33, 50)])
def test_any_size_and_number_of_channels(bottleneck, size):
    model = models.densenet(10, 4, bottleneck, num_classes=5, in_channels=4, dropout_p=0.1)
    assert model(torch.randn(2, 4, *size)).shape == (2, 5)


@pytest.mark.parametrize(
    ("depth", "bottleneck", "form"),
    [(40 + 1, False, "3n+4 without bottlenecks"), (43, True, "6n+4 with bottlenecks")],
)
def test_a_depth_that_does_not_fit_is_refused(depth, bottleneck, form):
    with pytest.raises(ValueError) as error:
        models.densenet(depth, 12, bottleneck)
    assert str(error.value) == f"`depth` of a DenseNet must be {form}, got {depth}"
