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
    """Replace the modules of an R-CNN's ResNet from `conv1` to `layer1`, in place; later modules are unchanged.

    The bottleneck is at `backbone.body.conv1`, and its output replaces that of `backbone.body.layer1`. The pyramid reads
    the outputs of later layers too, so that no further layer can be replaced.

    Args:
        model: A detector of torchvision on a ResNet with a feature pyramid, with its final weights.
        channels: Number of channels to send.
        width: Number of channels within the encoder.
        quantized: Whether to send 8-bit numbers in eval mode.

    Returns:
        The model.

    Raises:
        WiringError: The model has another structure.

    >>> from torchvision.models.detection import fasterrcnn_resnet50_fpn
    >>> model = bottleneck_rcnn(fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None))
    >>> model.backbone.body.conv1.encoder[-3]
    Conv2d(64, 3, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
    """
    body = resolve(model, "backbone.body")
    bottleneck_resnet(body, channels, last="layer1", width=width, quantized=quantized)
    return model


class Sent(NamedTuple):
    """The data that the device sends to the server.

    Attributes:
        features: The encoder's output, (batch, channels, smaller height, smaller width).
        sizes: (batch, 2), height and width of each image as resized by the detector.
        original_sizes: (batch, 2), height and width before resizing, to which boxes refer.
        padded: Height and width of the batch.
    """

    features: Tensor
    sizes: Tensor
    original_sizes: Tensor
    padded: tuple[int, int]


@final
class RCNNHead(nn.Module):
    """The device's part of a detector: resizing and the encoder. See `cut_rcnn`."""

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
    """The server's part of a detector: the decoder and all later modules. See `cut_rcnn`."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    @torch.no_grad()
    def forward(self, sent: Sent) -> list[dict[str, Tensor]]:
        """Return the detections, equal to those of the complete model."""
        from torchvision.models.detection.image_list import ImageList

        detector: Any = self.detector
        sizes, original = ([tuple(size) for size in rows.tolist()] for rows in (sent.sizes, sent.original_sizes))
        maps = detector.backbone(sent.features)
        features = OrderedDict([("0", maps)]) if isinstance(maps, Tensor) else maps
        # The anchors depend on the size of the images only, not on their pixels.
        images = ImageList(sent.features.new_zeros(1).expand(len(sizes), 3, *sent.padded), sizes)
        proposals, _ = detector.rpn(images, features, None)
        detected, _ = detector.roi_heads(features, proposals, sizes, None)
        detections: list[dict[str, Tensor]] = detector.transform.postprocess(detected, sizes, original)
        return detections


def cut_rcnn(model: nn.Module) -> tuple[RCNNHead, RCNNTail]:
    """Return copies of the head, for the device, and of the tail, for the server, for inference.

    `tail(head(images))` equals `model(images)`. To send 8-bit numbers, quantize `Sent.features` (`Sent._replace`).

    Args:
        model: An R-CNN of torchvision with a bottleneck; see `bottleneck_rcnn` and `sc2_fasterrcnn_resnet50_fpn`.

    Raises:
        WiringError: The model does not have exactly one bottleneck.
    """
    path, _ = find_bottleneck(model)
    tail = copy.deepcopy(model).eval()
    _, bottleneck = find_bottleneck(tail)
    body, _, name = path.rpartition(".")
    layers = dict(resolve(tail, body).named_children())
    stem = list(layers)[: list(layers).index(name)]
    encoder = nn.Sequential(*(layers[layer] for layer in stem), bottleneck.encoder)
    head = RCNNHead(copy.deepcopy(resolve(tail, "transform")), encoder)
    tail.set_submodule(path, bottleneck.decoder)
    for layer in stem:
        tail.set_submodule(f"{body}.{layer}", nn.Identity())
    return head.eval(), RCNNTail(tail).eval()
