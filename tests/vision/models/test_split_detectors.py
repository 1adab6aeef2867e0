"""Bottlenecks in R-CNNs: position, head and tail, size of the transfer, training."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from distill_core.errors import WiringError
from distill_core.hooks import Capture
from distill_vision.models import bottleneck_rcnn, cut_rcnn, dequantize, quantize, transfer_size

SMALL = {"min_size": 64, "max_size": 96, "box_detections_per_img": 5, "rpn_post_nms_top_n_test": 20}


def images() -> list[torch.Tensor]:
    """Return images of two sizes, so that the batch is padded."""
    return [torch.rand(3, 70, 90), torch.rand(3, 100, 80)]


def detector(kind=FasterRCNN):
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
    return kind(backbone, num_classes=3, **SMALL)


@pytest.mark.parametrize("kind", [FasterRCNN, MaskRCNN])
def test_head_and_tail_together_equal_the_model(kind):
    model = bottleneck_rcnn(detector(kind)).eval()
    head, tail = cut_rcnn(model)
    batch = images()
    with torch.no_grad():
        whole = model(batch)
    for found, expected in zip(tail(head(batch)), whole, strict=True):
        assert len(expected["boxes"]) > 0
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_what_is_sent_in_eight_bits_is_what_a_quantized_model_sees():
    model = bottleneck_rcnn(detector(), quantized=True).eval()
    head, tail = cut_rcnn(model)
    batch = images()
    with torch.no_grad():
        whole = model(batch)
    sent = head(batch)
    found = tail(sent._replace(features=dequantize(quantize(sent.features))))
    assert torch.equal(found[1]["boxes"], whole[1]["boxes"])
    assert not torch.equal(tail(sent)[1]["boxes"], whole[1]["boxes"])


def test_the_transfer_is_measured():
    model = bottleneck_rcnn(detector(), channels=3).eval()
    size = transfer_size(model, images())
    # Resized to 64×82 and 80×64, padded to multiples of 32: 3 channels of a quarter of 96×96.
    numbers = 2 * 3 * 24 * 24
    assert (size.images, size.float32, size.quantized) == (3 * (70 * 90 + 100 * 80), 4 * numbers, numbers + 2 * 8)


def test_the_rest_keeps_its_names_and_weights():
    plain, model = detector(), bottleneck_rcnn(detector())
    kept = {name: value for name, value in model.state_dict().items() if ".body.conv1." not in name}
    gone = plain.state_dict().keys() - kept.keys()
    assert {name.split(".")[2] for name in gone} == {"conv1", "bn1", "layer1"}
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in kept.items())
    with Capture(model, ["backbone.body.layer1", "backbone.body.layer2"]) as capture:
        model.eval()(images())
    assert [tuple(capture[name].shape[1:]) for name in ("backbone.body.layer1", "backbone.body.layer2")] == [(64, 24, 24), (128, 12, 12)]  # fmt: skip


def test_a_model_without_a_bottleneck_cannot_be_cut():
    with pytest.raises(WiringError) as error:
        cut_rcnn(detector())
    assert (
        str(error.value) == "FasterRCNN must have exactly one bottleneck, got 0\n  hint: add one with `with_bottleneck`"
    )
