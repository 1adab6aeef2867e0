"""The stages that early_stop.py measures: models, losses and their inputs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torchvision.models import resnet18, resnet50
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.segmentation import deeplabv3_resnet50, lraspp_mobilenet_v3_large

from distill_core.experiment import Term
from distill_core.layers import Paraphraser, Translator
from distill_core.losses import (
    AffinityLoss,
    FactorAutoencoderLoss,
    FitNetLoss,
    FSPLoss,
    FTLoss,
    GHNDLoss,
    HNDLoss,
    KTALoss,
    KTAutoencoderLoss,
)
from distill_core.taps import Tap
from distill_vision.models import bottleneck_rcnn, bottleneck_resnet

BOXES = "boxes"


def up_to(model: nn.Module, taps: list[str]) -> nn.Module:
    """Return the children of a model up to the last tapped one."""
    names = [name for name, _ in model.named_children()]
    last = max(names.index(tap.removesuffix(":in")) for tap in taps)
    return nn.Sequential(*(model.get_submodule(name) for name in names[: last + 1]))


class HeadRCNN(nn.Module):
    """The transform and the ResNet of a detector.

    Args:
        detector: The detector.
        taps: Addresses in its ResNet.
    """

    def __init__(self, detector: nn.Module, taps: list[str]) -> None:  # noqa: ARG002 - as `up_to`
        super().__init__()
        self.transform, self.body = detector.get_submodule("transform"), detector.get_submodule("backbone.body")

    def forward(self, images: list[Tensor]) -> Any:
        """Return the features of images."""
        return self.body(self.transform(images)[0].tensors)


@dataclass
class Stage:
    """A stage of training.

    Attributes:
        models: `teacher` and `student`; a model that no loss reads does not run.
        terms: The losses with their wiring.
        target: Kind of the batch's target: `labels`, `masks` or `boxes`.
        redesign: Returns the part of a model up to the last of some taps; None if torchdistill runs the complete models.
        feed: The wiring of the models' inputs.
    """

    models: dict[str, nn.Module]
    terms: dict[str, Term]
    target: str = "labels"
    redesign: Callable[[nn.Module, list[str]], nn.Module] | None = up_to
    feed: Mapping[str, Any] = field(default_factory=dict)

    def taps(self, name: str) -> list[str]:
        """Return the addresses of a model that the losses read; empty for its output."""
        given = [taps for term in self.terms.values() for taps in term.inputs.values()]
        taps = [Tap.parse(tap) for one in given for tap in ([one] if isinstance(one, str) else one)]
        return [tap.address for tap in taps if tap.source == name]


def _features(loss: nn.Module, taps: str | list[str]) -> dict[str, Term]:
    """Return a loss of the same modules of both models."""
    wired = {
        side: f"{side}.{taps}" if isinstance(taps, str) else [f"{side}.{tap}" for tap in taps]
        for side in ("teacher", "student")
    }
    return {"loss": Term(loss=loss, inputs=wired)}


def _entropy(output: str, **options: int) -> Term:
    return Term(loss=nn.CrossEntropyLoss(**options), inputs={"input": output, "target": "batch.target"})


def _factor_transfer() -> dict[str, Stage]:
    """Return both stages of FT at the last group."""
    models, paraphraser = {"teacher": resnet18(), "student": resnet18()}, Paraphraser(512)
    first = Term(loss=FactorAutoencoderLoss(paraphraser), inputs={"teacher": "teacher.layer4"})
    transfer = FTLoss(copy.deepcopy(paraphraser), Translator(512, 256), mode="code")
    taps = {"student": "student.layer4", "teacher": "teacher.layer4"}
    return {
        "FT, stage 1, layer4": Stage(models, {"paraphrase": first}),
        "FT, stage 2, layer4": Stage(models, {"ce": _entropy("student"), "ft": Term(loss=transfer, inputs=taps)}),
    }


def _knowledge_adaptation() -> dict[str, Stage]:
    """Return both stages of KTAAD, at the scores of LR-ASPP and DeepLabv3."""
    student = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21)
    teacher = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    models, translator = {"teacher": teacher, "student": student}, Paraphraser(21, batch_norm=True)
    first = Term(loss=KTAutoencoderLoss(translator), inputs={"teacher": "teacher.classifier.-1"})
    taps = {"student": "student.classifier.high_classifier", "teacher": "teacher.classifier.-1"}
    second = {
        "ce": _entropy("student:out.out", ignore_index=255),
        "adapt": Term(loss=KTALoss(translator, student_channels=21, mode="code"), inputs=taps),
        "affinity": Term(loss=AffinityLoss(translator, student_channels=21), inputs=taps),
    }
    return {
        "KTAAD, stage 1, DeepLabv3": Stage(models, {"translate": first}, "masks", redesign=None),
        "KTAAD, stage 2, LR-ASPP from DeepLabv3": Stage(models, second, "masks", redesign=None),
    }


def stages() -> dict[str, Stage]:
    """Return the stages by name."""
    groups = ["layer1:in", "layer1", "layer2:in", "layer2", "layer3:in", "layer3", "layer4:in", "layer4"]
    small = {"teacher": resnet18(), "student": resnet18()}
    split = {"teacher": (big := resnet50()), "student": bottleneck_resnet(copy.deepcopy(big), last="layer2")}
    detector = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=128, max_size=128)
    boxes = {"teacher": {"images": "batch.input"}, "student": {"images": "batch.input", "targets": "batch.target"}}
    body = [f"backbone.body.layer{number}" for number in range(1, 5)]
    rcnn = {"teacher": detector, "student": bottleneck_rcnn(copy.deepcopy(detector))}
    return {
        **_factor_transfer(),
        "FitNet, hint at layer1": Stage(small, _features(FitNetLoss(64, 64), "layer1")),
        "FSP, layer1 to layer4": Stage(small, _features(FSPLoss(), groups)),
        "HND, layer2": Stage(split, _features(HNDLoss(), "layer2")),
        "GHND, layer2 to layer4": Stage(split, _features(GHNDLoss(), ["layer2", "layer3", "layer4"])),
        "GHND, Faster R-CNN": Stage(rcnn, _features(GHNDLoss(), body), BOXES, redesign=HeadRCNN, feed=boxes),
        **_knowledge_adaptation(),
    }
