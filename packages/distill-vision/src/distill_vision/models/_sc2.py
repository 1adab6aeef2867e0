"""Models for split computing with the layers, and the names of tensors, of published weights.

The classifiers are those of "Head Network Distillation" (Matsubara et al., IEEE Access 2020) and later work of its
authors, the detectors those of "Neural Compression and Filtering" (Matsubara & Levorato, ICPR 2020); see `_bottleneck.py`.
The names are those of sc2-benchmark and of torchdistill's examples. For a bottleneck in any other model of these families,
use `bottleneck_resnet`, `bottleneck_densenet`, `bottleneck_inception` and `bottleneck_rcnn`. `sc2_bottleneck` keeps the later
layers of a trained model.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from distill_core.errors import WiringError

from ._bottleneck import Bottleneck, find_bottleneck
from ._frozen_batch_norm import freeze_batch_norms


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


def sc2_bottleneck(model: nn.Module, channels: int = 12, *, quantized: bool = False) -> nn.Module:
    """Return a trained model of torchvision with a published bottleneck in place of its first layers.

    The later layers are the modules of `model`; the names of all tensors are those of the published weights. Encoder and
    decoder are new.

    Args:
        model: ResNet-50, -101 or -152, DenseNet-169 or -201, Inception v3, or Faster or Mask R-CNN on ResNet-50. A detector is
            changed in place, and its batch norms become fixed.
        channels: Number of channels to send; 12 in the published classifiers, 3 in the detectors.
        quantized: Whether to send 8-bit numbers in eval mode.

    Raises:
        WiringError: It is another model.

    >>> from torchvision.models import resnet50
    >>> model = resnet50()
    >>> sc2_bottleneck(model).layer3 is model.layer3
    True
    """
    from torchvision.models import DenseNet, Inception3, ResNet
    from torchvision.models.detection.faster_rcnn import FasterRCNN

    builders = {ResNet: _resnet, DenseNet: _densenet, Inception3: _inception, FasterRCNN: _rcnn}
    build = next((build for kind, build in builders.items() if isinstance(model, kind)), None)
    fits = build is not None and _fits(model)
    if build is None or not fits:
        message = f"`model` must be a torchvision model with a published bottleneck, got {type(model).__name__}"
        raise WiringError(message, hint="use `bottleneck_resnet` or `bottleneck_densenet` for other depths")
    built = build(model, channels)
    find_bottleneck(built)[1].quantized = quantized
    return built


def _fits(model: Any) -> bool:
    """Return whether the later layers take what the decoder returns."""
    if hasattr(model, "layer3"):
        return bool(model.layer3[0].conv1.in_channels == 512)
    if hasattr(model, "features"):
        return bool(model.features.denseblock3.denselayer1.norm1.num_features == 256)
    return not hasattr(model, "backbone") or bool(model.backbone.body.layer2[0].conv1.in_channels == 256)


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

    return _inception(inception_v3(num_classes=num_classes, aux_logits=False, init_weights=True), channels)


def _inception(model: Any, channels: int) -> nn.Sequential:
    mixed = OrderedDict((name, module) for name, module in model.named_children() if name.startswith("Mixed_"))
    layers = OrderedDict(
        bottleneck_layer=_inception_bottleneck(channels), inception_modules=nn.Sequential(mixed),
        relu=nn.ReLU(inplace=True), avgpool=model.avgpool, dropout=model.dropout, flatten=nn.Flatten(), fc=model.fc,
    )  # fmt: skip
    return nn.Sequential(layers)


def _rcnn(model: Any, channels: int) -> nn.Module:
    """Replace `layer1`; the batch norms are fixed, and their ε was 0 when the weights were published."""
    model.backbone.body.set_submodule("layer1", nn.Identity())
    freeze_batch_norms(model, eps=0.0)
    model.backbone.body.set_submodule("layer1", _rcnn_bottleneck(channels))
    module: nn.Module = model
    return module


def sc2_fasterrcnn_resnet50_fpn(num_classes: int = 91, channels: int = 3) -> nn.Module:
    """Build Faster R-CNN on ResNet-50 with a bottleneck in place of `layer1`.

    Args:
        num_classes: Number of classes, the background included.
        channels: Number of channels to send.
    """
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    return _rcnn(fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=num_classes), channels)


def sc2_maskrcnn_resnet50_fpn(num_classes: int = 91, channels: int = 3) -> nn.Module:
    """Build Mask R-CNN on ResNet-50 with a bottleneck in place of `layer1`; see `sc2_fasterrcnn_resnet50_fpn`."""
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    return _rcnn(maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=num_classes), channels)
