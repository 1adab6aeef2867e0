"""Models with a bottleneck of torchdistill's examples, and where their modules are in ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ._old import LostError, Place


@dataclass(frozen=True)
class Renamed:
    """Paths of a model that is built otherwise than theirs.

    Attributes:
        taps: Their path → ours, for taps.
        globs: Their path → globs of ours, for parameters.
    """

    taps: Mapping[str, str] = field(default_factory=dict)
    globs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def tap(self, path: str) -> str:
        """Return the path of a module in ours."""
        for theirs, ours in self.taps.items():
            if path == theirs or path.startswith(f"{theirs}."):
                return f"{ours}{path[len(theirs) :]}".removeprefix(".")
        return path

    def parameters(self, path: str) -> tuple[str, ...]:
        """Return the globs of a module's parameters in ours."""
        return self.globs.get(path, (self.tap(path),))


@dataclass(frozen=True)
class BottleneckModel:
    """A model with a bottleneck.

    Attributes:
        builder: The function of `distill_vision.models` that adds ours.
        base: The model of torchvision that it changes.
        last: The last module that it replaces, if the function takes it.
        renamed: Where its modules are in ours.
    """

    builder: str
    base: str
    last: str = ""
    renamed: Renamed = field(default_factory=Renamed)


def _layer(first: str, last: str) -> Renamed:
    return Renamed({"bottleneck_layer": last}, {"bottleneck_layer": (first,)})


_INCEPTION = Renamed(
    {"bottleneck_layer": "maxpool2", "inception_modules": ""},
    {"bottleneck_layer": ("Conv2d_1a_3x3",), "inception_modules": ("Mixed_*",)},
)
_RESNET = _layer("conv1", "layer2")
_DENSENET = _layer("features.conv0", "features.transition2")

BOTTLENECKS = {
    "custom_resnet50": BottleneckModel("bottleneck_resnet", "resnet50", "layer2", _RESNET),
    "custom_resnet152": BottleneckModel("bottleneck_resnet", "resnet152", "layer2", _RESNET),
    "custom_densenet169": BottleneckModel("bottleneck_densenet", "densenet169", "transition2", _DENSENET),
    "custom_densenet201": BottleneckModel("bottleneck_densenet", "densenet201", "transition2", _DENSENET),
    "custom_inception_v3": BottleneckModel("bottleneck_inception", "inception_v3", renamed=_INCEPTION),
    "custom_fasterrcnn_resnet_fpn": BottleneckModel("bottleneck_rcnn", "detection.fasterrcnn_resnet50_fpn"),
    "custom_maskrcnn_resnet_fpn": BottleneckModel("bottleneck_rcnn", "detection.maskrcnn_resnet50_fpn"),
}
"""Models of torchdistill's examples and of sc2 → ours."""


def bottleneck_width(arguments: dict[str, Place]) -> int:
    """Return the number of channels to send, from the arguments of a model or of its backbone; they are removed."""
    channels, backbone = arguments.pop("bottleneck_channel", None), arguments.pop("backbone", None)
    if backbone is not None:
        channels = channels or _within(backbone, "bottleneck_channel")
        key = backbone.take("key", "name") if backbone.is_mapping else None
        if key is not None and key.text() not in ("resnet50", "custom_resnet50"):
            raise LostError(key, f"a detector on '{key.text()}'", "name the import path of your builder")
        backbone.ignore()
    if channels is not None:
        return int(channels.plain())
    return 12 if backbone is None else 3


def _within(place: Place, key: str) -> Place | None:
    """Return the value of a key anywhere below a place."""
    for name, below in place.raw_entries() if place.is_mapping else ():
        found = below if name == key else _within(below, key)
        if found is not None:
            return found
    return None
