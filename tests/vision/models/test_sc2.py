"""Published models for split computing: names and shapes of their tensors, and their two parts."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.ops import FrozenBatchNorm2d

from distill_core.errors import WiringError
from distill_vision import models

NAMES = (
    "resnet50", "resnet152", "densenet169", "densenet201", "inception_v3", "fasterrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_those_of_the_published_weights(name):
    """The file holds the bottleneck and the heads; the rest is torchvision's, and counted."""
    with (Path(__file__).parent / "sc2_state_dicts.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["model"] == name]
    published = {row["name"]: [int(size) for size in row["shape"].split(",") if size] for row in rows}
    (count,) = published.pop("(all)")
    with torch.device("meta"):
        ours = {key: list(tensor.shape) for key, tensor in getattr(models, f"sc2_{name}")().state_dict().items()}
    assert len(ours) == count
    assert published.items() <= ours.items()


@pytest.mark.parametrize(
    ("name", "size", "sent"), [("resnet50", 64, 9), ("densenet169", 64, 9), ("inception_v3", 107, 13)]
)
def test_the_two_parts_of_a_classifier_are_the_whole(name, size, sent):
    model = getattr(models, f"sc2_{name}")(num_classes=3).eval()
    images = torch.randn(1, 3, size, size)
    head, tail = models.cut(model)
    with torch.no_grad():
        encoded = head(images)
        assert encoded.shape == (1, 12, sent, sent)
        assert torch.equal(tail(encoded), model(images))
    assert models.transfer_size(model, images).float32 == 4 * 12 * sent**2


@pytest.mark.parametrize("name", ["resnet152", "densenet201"])
def test_the_two_parts_of_a_deeper_classifier_fit(name):
    with torch.device("meta"):
        model, images = getattr(models, f"sc2_{name}")(num_classes=3).eval(), torch.zeros(2, 3, 64, 64)
        head, tail = models.cut(model)
        assert head(images).shape == (2, 12, 9, 9)
        assert tail(head(images)).shape == model(images).shape == (2, 3)


@pytest.mark.parametrize("kind", ["fasterrcnn", "maskrcnn"])
def test_the_two_parts_of_a_detector_are_the_whole(kind):
    model = getattr(models, f"sc2_{kind}_resnet50_fpn")(num_classes=3).eval()
    model.transform.min_size, model.transform.max_size = (64,), 64
    images = [torch.rand(3, 60, 64)]
    head, tail = models.cut_rcnn(model)
    expected, found = model(images), tail(head(images))
    assert head(images).features.shape[1] == 3
    assert all(torch.equal(value, found[0][name]) for name, value in expected[0].items())


LATER = {
    "resnet": "layer3.0.conv1.weight", "densenet": "features.denseblock3.denselayer1.conv1.weight",
    "inception": "Mixed_7c.branch_pool.conv.weight", "rcnn": "backbone.body.layer2.0.conv1.weight",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_bottleneck_keeps_the_later_layers_of_a_model(name):
    family = next(family for family in LATER if family in name.replace("rcnn_resnet50", "rcnn"))
    builders = torchvision.models.detection if family == "rcnn" else torchvision.models
    options = {"rcnn": {"weights_backbone": None}, "inception": {"init_weights": False}}.get(family, {})
    with torch.device("meta"):
        whole = getattr(builders, name)(weights=None, **options)
        kept = dict(whole.named_parameters())[LATER[family]]
        model = models.sc2_bottleneck(whole, channels=5, quantized=True)
        published = getattr(models, f"sc2_{name}")(channels=5).state_dict()
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert shapes == {key: value.shape for key, value in published.items()}
    assert any(parameter is kept for parameter in model.parameters())
    assert models.find_bottleneck(model)[1].quantized


@pytest.mark.parametrize("name", ["resnet18", "densenet161", "alexnet"])
def test_a_model_without_a_published_bottleneck_is_refused(name):
    with torch.device("meta"), pytest.raises(WiringError, match="published bottleneck"):
        models.sc2_bottleneck(getattr(torchvision.models, name)())


def test_fixed_batch_norms_are_those_of_torchvision():
    ours = torchvision.models.resnet18().eval()
    for tensor in ours.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape))
    theirs = torchvision.models.resnet18(norm_layer=FrozenBatchNorm2d).eval()
    theirs.load_state_dict(ours.state_dict())
    for module in theirs.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.25
    models.freeze_batch_norms(ours, eps=0.25)
    images = torch.rand(2, 3, 32, 32)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    torch.testing.assert_close(ours(images), theirs(images))
