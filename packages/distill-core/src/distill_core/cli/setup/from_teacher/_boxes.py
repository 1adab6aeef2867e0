"""Images with boxes: detectors of torchvision."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from ....preview import ExampleInputs, example_inputs, summarise
from ..._build_model import build_model
from ..._exit import refuse
from ._held_out import about_held_out
from ._models import Call, built, call_named
from ._own_data import BoxFiles
from ._recipe import SCHEDULE, Candidate, Recipe, epochs_key, head, is_pretrained, num_epochs, quoted

DETECTION = "torchvision.models.detection"
_BACKBONE = "torchvision.models.detection.backbone_utils"
_NORM = "norm_layer: !import_get:torch.nn.BatchNorm2d"
BACKBONES = {
    "Faster R-CNN on ResNet-34": f"!import_call:{_BACKBONE}.resnet_fpn_backbone {{backbone_name: resnet34, weights: null, {_NORM}, trainable_layers: 5}}",
    "Faster R-CNN on ResNet-18": f"!import_call:{_BACKBONE}.resnet_fpn_backbone {{backbone_name: resnet18, weights: null, {_NORM}, trainable_layers: 5}}",
}  # fmt: skip
"""Name of a proposed student → its backbone with a pyramid."""
_LEVEL = re.compile(r"backbone\.fpn\.layer_blocks\.\d+")
OPTIMIZER = "!import_partial:torch.optim.SGD {lr: 0.005, momentum: 0.9, weight_decay: 5.0e-4}"


def box_recipe(data: BoxFiles, teacher: str, trust: Sequence[str]) -> tuple[Recipe, nn.Module, ExampleInputs, Call]:
    """Return the experiment without its taps, the teacher, an image and the teacher's call.

    Raises:
        ConfigError: The teacher is not a detector of torchvision.
    """
    call = detector(teacher, data.num_classes)
    own = built(call, trust)
    example = example_inputs(own)
    if example is None or not isinstance(example.args[0], list):
        refuse(f"{teacher} is not a detector of torchvision", f"name one such as {DETECTION}.fasterrcnn_resnet50_fpn")
    about, trained = f"{data.num_train:,} images with boxes", is_pretrained(call)
    about_val = about_held_out(data.held_out, of_classes=False)
    text = (
        head(about, teacher)
        + f"models:\n  teacher: {call.yaml()}\n  student: STUDENT\n\n"
        + _data(data)
        + "\nstages:\n"
    )
    text += "" if trained else _stage(data, "teacher", ()) + _losses("teacher", ())
    costs = "an untrained detector's FLOPs and latency depend on the boxes that it proposes"
    note = "the teacher is trained first: its arguments name no weights, such as weights=DEFAULT"
    return Recipe(teacher, f"{about}; {about_val}", text, (costs,) if trained else (note, costs)), own, example, call


def detector(name: str, num_classes: int) -> Call:
    """Return the call of a detector, which a short name of torchvision may name; without weights, with these classes."""
    short = name.partition(" ")[0]
    call = call_named(f"{DETECTION}.{name}" if "." not in short and "/" not in short else name)
    if not is_pretrained(call) and call.path.rpartition(".")[2].islower():  # a function of torchvision, not a class
        call = call.with_argument("weights", "null").with_argument("weights_backbone", "null")
        return call.with_argument("num_classes", num_classes)
    return call


def box_students(
    data: BoxFiles, given: str | None, teacher: Call, example: ExampleInputs, trust: Sequence[str]
) -> list[Candidate]:
    """Return detectors with the classes of the data, whose pyramid has maps of the sizes of the teacher's.

    Raises:
        ConfigError: None has.
    """
    sizes = [argument for argument in teacher.arguments if argument.startswith(("min_size=", "max_size="))]
    if given is None:
        known = [f"num_classes={data.num_classes}", *sizes]
        calls = [
            Call(name, f"{DETECTION}.FasterRCNN", [f"backbone={text}", *known]) for name, text in BACKBONES.items()
        ]
        calls.append(detector(" ".join(["fasterrcnn_mobilenet_v3_large_fpn", *sizes]), data.num_classes))
    else:
        calls = [detector(given, data.num_classes)]
    calls = [call for call in calls if pyramid_pairs(call, teacher, example, trust)]
    if not calls:
        hint = "name a --student with a pyramid, backbone.fpn, and the teacher's min_size"
        refuse(f"{given or 'no candidate student'} and {teacher.name} have no maps of equal sizes", hint)
    return [Candidate(call.name, call, call.yaml(), built(call, trust)) for call in calls]


def pyramid_pairs(student: Call, teacher: Call, example: ExampleInputs, trust: Sequence[str]) -> list[tuple[str, str]]:
    """Return the taps of the maps of both pyramids that have one shape."""
    maps: list[dict[Any, str]] = []
    for call in (student, teacher):
        outputs = summarise(build_model(call.path, call.arguments, trust), example).outputs
        maps.append({tuple(outputs[name].shape): name for name in outputs if _LEVEL.fullmatch(name)})
    return [(f"student.{name}", f"teacher.{maps[1][shape]}") for shape, name in maps[0].items() if shape in maps[1]]


def with_student(
    recipe: Recipe, data: BoxFiles, teacher: Call, student: Candidate, example: ExampleInputs, trust: Sequence[str]
) -> str:
    """Return the text of the experiment with the stage of the student, and maps of both pyramids at equal resolutions."""
    pairs = pyramid_pairs(student.call, teacher, example, trust)
    resets = "train: [teacher]" in recipe.text
    return recipe.text + _stage(data, "student", pairs, resets=resets) + _losses("student", pairs) + _TEST


def _data(data: BoxFiles) -> str:
    load, train = "!import_call:distill_vision.data.coco_json", quoted(data.train)
    test = f"file: {quoted(data.test)}, images: {quoted(data.test_images)}, train_file: {train}"
    batch = _batch_size(data)
    held_out = f"file: {train}, images: {quoted(data.train_images)}, holdout: {data.held_out.count}"
    return (
        f"data:                                # {data.num_classes - 1} labels and the background; {about_held_out(data.held_out, of_classes=False)}\n"
        f"  train: {load} {{split: train, {held_out}, batch_size: {batch}, num_workers: 2}}\n"
        f"  val: &val {load} {{split: val, {held_out}, batch_size: {batch}}}\n"
        f"  test: &test {load} {{split: test, {test}, batch_size: {batch}}}\n"
    )


def _batch_size(data: BoxFiles) -> int:
    return max(1, min(4, data.num_train))


def _stage(data: BoxFiles, model: str, pairs: Sequence[tuple[str, str]], *, resets: bool = False) -> str:
    train = {"teacher": "    train: [teacher]\n", "student": "    train: null\n" if resets else ""}[model]
    feeds = f"      {model}: {{images: batch.input, targets: batch.target}}\n"
    feeds += "      teacher: {images: batch.input}\n" if pairs else ""
    about = "first the teacher" if model == "teacher" else "the student; in train mode detectors return their losses"
    epochs = num_epochs(data.num_train, _batch_size(data), steps=5000, least=12, most=60)
    return (
        epochs_key(epochs, data.num_train, _batch_size(data), about) + f"{train}    optimizer: {OPTIMIZER}\n{SCHEDULE}"
        f"    clip_grad_norm: 10.0\n    feed:\n{feeds}"
    )


def _losses(model: str, pairs: Sequence[tuple[str, str]]) -> str:
    text = (
        "    losses:\n      detection:\n        loss: !import_call:distill_core.losses.ReportedLoss {}\n"
        f"        inputs: {{student: {model}}}\n        averages_over: samples\n"
    )
    if model == "teacher" or not pairs:
        return text
    return text + (
        "      pkd:                           # the maps of both pyramids correlate; tune its weight\n        weight: 6.0\n"
        "        loss: !import_call:distill_core.losses.PKDLoss {}\n        inputs:\n"
        f"          student: {json.dumps([own for own, _ in pairs])}\n          teacher: {json.dumps([other for _, other in pairs])}\n"
    )


_TEST = """
callbacks:
  - !import_call:distill_core.train.Evaluate
    loader: *val
    metrics: &metrics
      coco: {metric: !import_call:distill_vision.metrics.CocoAP {}, inputs: {preds: student, target: batch.target}}
  - !import_call:distill_core.train.Checkpoint {best: coco.AP}

test:                                                      # once, at the end: the best epoch is selected on `val`
  loader: *test
  feed: {student: {images: batch.input}}
  metrics: *metrics
"""
