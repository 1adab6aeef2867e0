"""Models for split computing with the layers, and the names of tensors, of published weights.

The classifiers are those of "Head Network Distillation" (Matsubara et al., IEEE Access 2020) and later work of its
authors, the detectors those of "Neural Compression and Filtering" (Matsubara & Levorato, ICPR 2020); see `_bottleneck.py`.
The names are those of sc2-benchmark and of torchdistill's examples. For a bottleneck in any other model of these families,
use `bottleneck_resnet`, `bottleneck_densenet`, `bottleneck_inception` and `bottleneck_rcnn`.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

from torch import nn

from ._bottleneck import Bottleneck


def _conv(into: int, out: int, *, padding: int = 0) -> nn.Conv2d:
    return nn.Conv2d(into, out, kernel_size=2, padding=padding, bias=False)


def _norm(channels: int, *, relu: bool = True) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)] if relu else [nn.BatchNorm2d(channels)]


def _encoder(channels: int, *, padding: int) -> nn.Sequential:
    """Build the encoder of the classifiers: the stem of a ResNet and a convolution to `channels` channels."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3 * padding, bias=False),
        *_norm(64),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=padding),
        *_norm(64),
        nn.Conv2d(64, channels, kernel_size=2, stride=2, padding=1, bias=False),
    )


def _resnet_bottleneck(channels: int) -> Bottleneck:
    decoder = nn.Sequential(
        *_norm(channels), _conv(channels, 512, padding=1),
        *_norm(512), _conv(512, 512, padding=1),
        *_norm(512), _conv(512, 512),
        *_norm(512), _conv(512, 512),
        nn.AvgPool2d(kernel_size=2, stride=1),
    )  # fmt: skip
    return Bottleneck(_encoder(channels, padding=1), decoder)


def _densenet_bottleneck(channels: int) -> Bottleneck:
    decoder = nn.Sequential(
        *_norm(channels), _conv(channels, 512, padding=1),
        *_norm(512), _conv(512, 512, padding=1),
        *_norm(512), _conv(512, 256),
        *_norm(256), _conv(256, 256),
        *_norm(256), _conv(256, 256),
        nn.AvgPool2d(kernel_size=2, stride=2),
    )  # fmt: skip
    return Bottleneck(_encoder(channels, padding=1), decoder)


def _inception_bottleneck(channels: int) -> Bottleneck:
    decoder = nn.Sequential(
        *_norm(channels), _conv(channels, 256, padding=1),
        *_norm(256), _conv(256, 256),
        *_norm(256), _conv(256, 192),
        nn.AvgPool2d(kernel_size=2, stride=1),
    )  # fmt: skip
    return Bottleneck(_encoder(channels, padding=0), decoder)


def _rcnn_bottleneck(channels: int) -> Bottleneck:
    """Build a bottleneck that keeps height and width, in place of a ResNet's `layer1`."""
    encoder = nn.Sequential(
        _conv(64, 64, padding=1), *_norm(64, relu=False), _conv(64, 256, padding=1), *_norm(256),
        _conv(256, 64, padding=1), *_norm(64, relu=False), _conv(64, channels, padding=1),
    )  # fmt: skip
    decoder = nn.Sequential(
        *_norm(channels), _conv(channels, 64), *_norm(64, relu=False), _conv(64, 128), *_norm(128),
        _conv(128, 256), *_norm(256, relu=False), _conv(256, 256), *_norm(256),
    )  # fmt: skip
    return Bottleneck(encoder, decoder)


def _resnet(model: Any, channels: int) -> nn.Sequential:
    layers = OrderedDict(
        bottleneck_layer=_resnet_bottleneck(channels), layer3=model.layer3, layer4=model.layer4, avgpool=model.avgpool,
        flatten=nn.Flatten(), fc=model.fc,
    )  # fmt: skip
    return nn.Sequential(layers)


def sc2_resnet50(num_classes: int = 1000, channels: int = 12) -> nn.Module:
    """Build ResNet-50 with a bottleneck in place of the layers up to `layer2`.

    Args:
        num_classes: Number of logits.
        channels: Number of channels to send.
    """
    from torchvision.models import resnet50

    return _resnet(resnet50(num_classes=num_classes), channels)


def sc2_resnet152(num_classes: int = 1000, channels: int = 12) -> nn.Module:
    """Build ResNet-152 with a bottleneck in place of the layers up to `layer2`; see `sc2_resnet50`."""
    from torchvision.models import resnet152

    return _resnet(resnet152(num_classes=num_classes), channels)


def _densenet(model: Any, channels: int) -> nn.Sequential:
    kept = ("denseblock3", "transition3", "denseblock4", "norm5")
    layers = OrderedDict(
        bottleneck_layer=_densenet_bottleneck(channels),
        features=nn.Sequential(OrderedDict((name, model.features.get_submodule(name)) for name in kept)),
        relu=nn.ReLU(inplace=True), avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), classifier=model.classifier,
    )  # fmt: skip
    return nn.Sequential(layers)


def sc2_densenet169(num_classes: int = 1000, channels: int = 12) -> nn.Module:
    """Build DenseNet-169 with a bottleneck in place of the layers up to `transition2`; see `sc2_resnet50`."""
    from torchvision.models import densenet169

    return _densenet(densenet169(num_classes=num_classes), channels)


def sc2_densenet201(num_classes: int = 1000, channels: int = 12) -> nn.Module:
    """Build DenseNet-201 with a bottleneck in place of the layers up to `transition2`; see `sc2_resnet50`."""
    from torchvision.models import densenet201

    return _densenet(densenet201(num_classes=num_classes), channels)


def sc2_inception_v3(num_classes: int = 1000, channels: int = 12) -> nn.Module:
    """Build Inception v3, for images of 299×299, with a bottleneck before `Mixed_5b`; see `sc2_resnet50`."""
    from torchvision.models import inception_v3

    model: Any = inception_v3(num_classes=num_classes, aux_logits=False, init_weights=True)
    mixed = OrderedDict((name, module) for name, module in model.named_children() if name.startswith("Mixed_"))
    layers = OrderedDict(
        bottleneck_layer=_inception_bottleneck(channels), inception_modules=nn.Sequential(mixed),
        relu=nn.ReLU(inplace=True), avgpool=model.avgpool, dropout=model.dropout, flatten=nn.Flatten(), fc=model.fc,
    )  # fmt: skip
    return nn.Sequential(layers)


def _rcnn_backbone(channels: int) -> nn.Module:
    """Build a pyramid on ResNet-50 with fixed batch norms, whose ε was 0 when the weights were published."""
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops import FrozenBatchNorm2d

    fixed: Any = partial(FrozenBatchNorm2d, eps=0.0)
    backbone: Any = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=fixed, trainable_layers=5)
    backbone.body.set_submodule("layer1", _rcnn_bottleneck(channels))
    module: nn.Module = backbone
    return module


def sc2_fasterrcnn_resnet50_fpn(num_classes: int = 91, channels: int = 3) -> nn.Module:
    """Build Faster R-CNN on ResNet-50 with a bottleneck in place of `layer1`.

    Args:
        num_classes: Number of classes, the background included.
        channels: Number of channels to send.
    """
    from torchvision.models.detection import FasterRCNN

    model: nn.Module = FasterRCNN(_rcnn_backbone(channels), num_classes)
    return model


def sc2_maskrcnn_resnet50_fpn(num_classes: int = 91, channels: int = 3) -> nn.Module:
    """Build Mask R-CNN on ResNet-50 with a bottleneck in place of `layer1`; see `sc2_fasterrcnn_resnet50_fpn`."""
    from torchvision.models.detection import MaskRCNN

    model: nn.Module = MaskRCNN(_rcnn_backbone(channels), num_classes)
    return model
