"""Published models for split computing: names and shapes of their tensors, and their two parts."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

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


def test_the_two_parts_of_a_detector_are_the_whole():
    model = models.sc2_fasterrcnn_resnet50_fpn(num_classes=3).eval()
    model.transform.min_size, model.transform.max_size = (64,), 64
    images = [torch.rand(3, 60, 64)]
    head, tail = models.cut_rcnn(model)
    expected, found = model(images), tail(head(images))
    assert head(images).features.shape[1] == 3
    assert all(torch.equal(value, found[0][name]) for name, value in expected[0].items())
