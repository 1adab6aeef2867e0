"""Detectors for split computing: a Faster or Mask R-CNN whose first layers are a bottleneck.

Yoshitomo Matsubara, Marco Levorato. "Neural Compression and Filtering for Edge-assisted Real-time Object Detection in
Challenged Networks." ICPR 2020. https://arxiv.org/abs/2007.15818
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar, final

import torch
from torch import Tensor, nn

from distill_core.hooks import resolve

from ._bottleneck import find_bottleneck
from ._split_classifiers import bottleneck_resnet

Model = TypeVar("Model", bound=nn.Module)


def bottleneck_rcnn(model: Model, channels: int = 3, *, width: int = 64, quantized: bool = False) -> Model:
    """Replace the modules of an R-CNN's ResNet from `conv1` to `layer1`, in place; what comes after stays as it is.

    The bottleneck is at `backbone.body.conv1`, and its output is that of `backbone.body.layer1` too. The pyramid takes it
    as it takes what the later layers give, so that it replaces no more of them.

    Args:
        model: A detector of torchvision on a ResNet with a feature pyramid, with the weights it is to have.
        channels: Channels of what is sent.
        width: Channels within the encoder.
        quantized: Send 8 bits a number while evaluating.

    Returns:
        The model.

    Raises:
        WiringError: It is built in another way.

    >>> from torchvision.models.detection import fasterrcnn_resnet50_fpn
    >>> model = bottleneck_rcnn(fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None))
    >>> model.backbone.body.conv1.encoder[-3]
    Conv2d(64, 3, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
    """
    body = resolve(model, "backbone.body")
    bottleneck_resnet(body, channels, last="layer1", width=width, quantized=quantized)
    return model


class Sent(NamedTuple):
    """What goes from the device to the server.

    Attributes:
        features: What the encoder gives, (batch, channels, smaller height, smaller width).
        sizes: (batch, 2): height and width of each image as the detector resized it.
        original_sizes: (batch, 2): as it was, which boxes refer to.
        padded: Height and width of the batch.
    """

    features: Tensor
    sizes: Tensor
    original_sizes: Tensor
    padded: tuple[int, int]


@final
class RCNNHead(nn.Module):
    """What the device runs: the detector's resizing and the encoder. See `cut_rcnn`."""

    def __init__(self, transform: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.transform, self.encoder = transform, encoder

    @torch.no_grad()
    def forward(self, images: Sequence[Tensor]) -> Sent:
        """Encode images (3, height, width) from 0 to 1."""
        original = torch.tensor([tuple(image.shape[-2:]) for image in images])
        batch, _ = self.transform(list(images))
        height, width = batch.tensors.shape[-2:]
        return Sent(self.encoder(batch.tensors), torch.tensor(batch.image_sizes), original, (height, width))


@final
class RCNNTail(nn.Module):
    """What the server runs: the decoder and all that follows. See `cut_rcnn`."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    @torch.no_grad()
    def forward(self, sent: Sent) -> list[dict[str, Tensor]]:
        """The detections, as the whole model gives them."""
        from torchvision.models.detection.image_list import ImageList

        detector: Any = self.detector
        sizes, original = ([tuple(size) for size in rows.tolist()] for rows in (sent.sizes, sent.original_sizes))
        maps = detector.backbone(sent.features)
        features = OrderedDict([("0", maps)]) if isinstance(maps, Tensor) else maps
        # Of the pixels only their number is asked for, to place the anchors.
        images = ImageList(sent.features.new_zeros(1).expand(len(sizes), 3, *sent.padded), sizes)
        proposals, _ = detector.rpn(images, features, None)
        found, _ = detector.roi_heads(features, proposals, sizes, None)
        detections: list[dict[str, Tensor]] = detector.transform.postprocess(found, sizes, original)
        return detections


def cut_rcnn(model: nn.Module) -> tuple[RCNNHead, RCNNTail]:
    """The head, for the device, and the tail, for the server; both are copies, for inference.

    `tail(head(images))` is `model(images)`. To send 8 bits a number, quantize `Sent.features` (`Sent._replace`).

    Args:
        model: An R-CNN of torchvision with a bottleneck; see `bottleneck_rcnn`.

    Raises:
        WiringError: It has not exactly one bottleneck.
    """
    path, _ = find_bottleneck(model)
    whole = copy.deepcopy(model).eval()
    _, bottleneck = find_bottleneck(whole)
    head = RCNNHead(copy.deepcopy(resolve(whole, "transform")), bottleneck.encoder)
    whole.set_submodule(path, bottleneck.decoder)
    return head.eval(), RCNNTail(whole).eval()
