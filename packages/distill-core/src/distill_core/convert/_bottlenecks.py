"""Models with a bottleneck of torchdistill's examples and of sc2-benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from ._old import LostError, Place

SC2 = "yoshitomo-matsubara/sc2-benchmark"
"""The repository of the models."""


@dataclass(frozen=True)
class BottleneckModel:
    """A model with a bottleneck.

    Attributes:
        builder: The function of `distill_vision.models` that builds it.
        base: The builder of torchvision of the model whose first layers the bottleneck replaces.
        channels: The number of channels to send, by default.
    """

    builder: str
    base: str
    channels: int = 12


BOTTLENECKS = {
    "custom_resnet50": BottleneckModel("sc2_resnet50", "resnet50"),
    "custom_resnet152": BottleneckModel("sc2_resnet152", "resnet152"),
    "custom_densenet169": BottleneckModel("sc2_densenet169", "densenet169"),
    "custom_densenet201": BottleneckModel("sc2_densenet201", "densenet201"),
    "custom_inception_v3": BottleneckModel("sc2_inception_v3", "inception_v3"),
    "custom_fasterrcnn_resnet_fpn": BottleneckModel(
        "sc2_fasterrcnn_resnet50_fpn", "detection.fasterrcnn_resnet50_fpn", 3
    ),
    "custom_maskrcnn_resnet_fpn": BottleneckModel("sc2_maskrcnn_resnet50_fpn", "detection.maskrcnn_resnet50_fpn", 3),
}
"""Models with the layers and the names of tensors of ours."""


def sent_channels(model: BottleneckModel, arguments: dict[str, Place]) -> int:
    """Return the number of channels to send; the arguments of the bottleneck are removed.

    Raises:
        LostError: The bottleneck is another than the published ones.
    """
    if "backbone" not in arguments:
        return _channels(arguments, model.channels)
    backbone = arguments.pop("backbone")
    key = backbone.need("key", "name")
    if key.text() not in ("resnet50", "custom_resnet50"):
        raise LostError(key, f"a detector on '{key.text()}'", "name the import path of your builder")
    settings = backbone.mapping("kwargs", "params").entries()
    if classes := settings.pop("num_classes", None):
        classes.omit("the backbone of a detector has no classes")
    if (trained := settings.pop("trainable_backbone_layers", None)) and trained.plain() not in (5, 6):
        raise LostError(trained, "frozen layers of a backbone", "list what learns in `train:`")
    layer = settings.pop("layer1", None)
    if layer is None or settings:
        raise LostError(
            next(iter(settings.values()), backbone), "a backbone without a bottleneck, or with other settings"
        )
    kind = layer.need("key", "type", "name")
    if kind.text() != "Bottleneck4LargeResNet":
        raise LostError(kind, f"the bottleneck '{kind.text()}'", "'Bottleneck4LargeResNet' has a counterpart")
    return _channels({**layer.entries(), **layer.mapping("kwargs", "params").entries()}, model.channels)


def _channels(arguments: dict[str, Place], default: int) -> int:
    """Remove and return `bottleneck_channel`; where the tensor is sent, and how, must be as published."""
    for name in ("compressor", "decompressor"):
        if (step := arguments.pop(name, None)) and not step.is_null:
            raise LostError(step, f"a '{name}'", "quantize what is sent with distill_vision.models.quantize")
    if (index := arguments.pop("bottleneck_idx", None)) and index.plain() != 7:
        raise LostError(index, f"a tensor that is sent behind layer {index.plain()}", "7 has a counterpart")
    channels = arguments.pop("bottleneck_channel", None)
    return channels.integer() if channels else default
