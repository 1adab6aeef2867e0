"""Images with one class each: a teacher and students that classify them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ....preview import ExampleInputs, FeaturePair, pair_features, stage_features, summarise
from ..._build_model import build_model
from ..._exit import refuse
from ._held_out import about_held_out
from ._image_data import batch_size, image_data
from ._image_size import at_size
from ._models import Call, accepts, built, call_named, image_inputs, outputs_of
from ._own_images import ImageFolder, ImageTable
from ._recipe import SCHEDULE, Candidate, Recipe, epochs_key, head, is_pretrained, num_epochs, optimizer

SMALL = 64
"""Greatest size of images for which the models of distill-vision for small images are proposed."""
OF_SMALL = (
    "distill_vision.models.resnet56",
    "distill_vision.models.resnet20",
    "distill_vision.models.mobilenetv2",
    "distill_vision.models.convnet width=32 in_channels=3",
    "distill_vision.models.convnet width=8 in_channels=3",
)
OF_TIMM = ("resnet34", "resnet18", "convnext_atto", "efficientnet_b0", "mobilenetv3_large_100")
OF_TORCHVISION = ("resnet34", "resnet18", "mobilenet_v3_large", "mobilenet_v3_small", "shufflenet_v2_x0_5")


def image_recipe(
    data: ImageFolder | ImageTable, teacher: str, trust: Sequence[str]
) -> tuple[Recipe, nn.Module, ExampleInputs, Call]:
    """Return the experiment without its taps, the teacher, an image and the teacher's call.

    Raises:
        ConfigError: The teacher cannot be built, does not take images, or has another number of classes.
    """
    call, count = call_named(teacher), len(data.classes)
    own = built(call, trust)
    example = image_inputs(own)
    fits = outputs_of(own, example) == count
    if not fits and (call.path == "distill_zoo.load" or call.has("num_classes")):
        found = outputs_of(own, example)
        refuse(
            f"{teacher} has {found} classes, and the data have {count}", "name a model whose `num_classes` can be set"
        )
    if not fits:
        call = call.with_argument("num_classes", count)
        own = built(call, trust)
    trained = fits and (is_pretrained(call) or call.path == "distill_zoo.load")
    notes = () if trained else ("the teacher is trained first: its last layer is new" if is_pretrained(call) else
                                "the teacher is trained first: its arguments name no weights, such as pretrained=true",)  # fmt: skip
    example, reason = at_size(own, example, data.side, pretrained=trained or is_pretrained(call))
    image = example.args[0]
    size = int(image.shape[-1]) if isinstance(image, Tensor) else 0
    about = f"{data.num_train:,} images of {count} classes; {about_held_out(data.held_out)}"
    text = head(f"{data.num_train:,} images of {count} classes", teacher)
    text += (
        f"models:\n  teacher: {call.yaml()}\n  student: STUDENT\n\n" + image_data(data, size, reason) + "\nstages:\n"
    )
    text += "" if trained else _teacher_stage(own, data, pretrained=is_pretrained(call))
    return Recipe(teacher, about, text, notes), own, example, call


def image_students(
    data: ImageFolder | ImageTable, names: Sequence[str], trust: Sequence[str], example: ExampleInputs
) -> list[Candidate]:
    """Return the students that accept the teacher's images, with the classes of the data.

    Raises:
        ConfigError: None accepts them.
    """
    students = []
    for name in names:
        call = call_named(name).with_argument("num_classes", len(data.classes))
        model = built(call, trust)
        if accepts(model, example):
            students.append(Candidate(name, call, call.yaml(), model))
    if not students:
        refuse(f"{', '.join(names)}: no scores of classes for an image of the teacher's size", "name another --student")
    return students


def proposed_names(teacher: Call, example: ExampleInputs) -> list[str]:
    """Return the names of models for students of a teacher."""
    image: Any = example.args[0]
    is_of_timm = teacher.path == "timm.create_model"
    large = OF_TIMM if is_of_timm else [f"torchvision.models.{name}" for name in OF_TORCHVISION]
    if image.shape[-1] > SMALL:
        return list(large)
    return [*OF_SMALL, *large] if is_of_timm or teacher.path.startswith("torchvision.") else list(OF_SMALL)


def with_student(
    recipe: Recipe,
    data: ImageFolder | ImageTable,
    teacher: Call,
    student: Candidate,
    example: ExampleInputs,
    trust: Sequence[str],
) -> str:
    """Return the text of the experiment with the stage of the student, and as a comment taps that both models have.

    Args:
        recipe: The experiment without them.
        data: The images.
        teacher: The teacher's call.
        student: The student.
        example: An image.
        trust: Packages whose models may be built besides the trusted ones.
    """
    pairs = _pairs(teacher, student.call, example, trust)
    trains_teacher = "train: [teacher]" in recipe.text
    return (
        recipe.text
        + _student_stage(student.model, data, pairs, resets=trains_teacher)
        + _EVALUATE
        + (_TEST if data.test else _NO_TEST)
    )


def _pairs(teacher: Call, student: Call, example: ExampleInputs, trust: Sequence[str]) -> list[FeaturePair]:
    """Return maps of both models at equal resolutions, at most three; the models are built without memory."""
    models = [build_model(call.path, call.arguments, trust) for call in (student, teacher)]
    found = [stage_features(model, summarise(model, example)) for model in models]
    maps = [[feature for feature in features if feature.size] for features in found]
    return pair_features(*maps)[-3:] if all(maps) else []


def _teacher_stage(model: nn.Module, data: ImageFolder | ImageTable, *, pretrained: bool) -> str:
    """Return the stage that trains the teacher: a fifth of the student's epochs if it has weights."""
    epochs = max(5, _epochs(data) // 5) if pretrained else _epochs(data)
    return (
        epochs_key(epochs, data.num_train, batch_size(data), "first the teacher") + "    train: [teacher]\n"
        f"    optimizer: {optimizer(model, pretrained=pretrained)}\n{SCHEDULE}"
        "    losses:\n"
        "      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: teacher, target: batch.target}}\n"
    )


def _epochs(data: ImageFolder | ImageTable) -> int:
    return num_epochs(data.num_train, batch_size(data), steps=5000, least=10, most=100)


def _student_stage(
    model: nn.Module, data: ImageFolder | ImageTable, pairs: Sequence[FeaturePair], *, resets: bool
) -> str:
    reset = (
        "    train: null                      # back to the default: models whose name does not start with `teacher`\n"
    )
    text = (
        epochs_key(_epochs(data), data.num_train, batch_size(data), "the student")
        + (reset if resets else "")
        + f"    optimizer: {optimizer(model, pretrained=False)}\n{SCHEDULE}"
        "    losses:\n"
        "      ce:                            # the labels\n        weight: 0.1\n"
        "        loss: !import_call:torch.nn.CrossEntropyLoss {}\n        inputs: {input: student, target: batch.target}\n"
        "      kd:                            # the teacher's probabilities\n        weight: 0.9\n"
        "        loss: !import_call:distill_core.losses.KDLoss {temperature: 4.0}\n"
        "        inputs: {student: student, teacher: teacher}\n"
    )
    if not pairs:
        return text
    taps = {name: [getattr(pair, name) for pair in pairs] for name in ("student", "teacher")}
    return text + (
        "      # A feature loss beside it, here on maps of equal size. Tune its weight, and keep it if it is better on `val`.\n"
        "      # at:\n      #   weight: 1.0\n      #   loss: !import_call:distill_core.losses.ATLoss {}\n      #   inputs:\n"
        + "".join(f"      #     {name}: [{', '.join(map(_tap, values))}]\n" for name, values in taps.items())
    )


def _tap(value: str | Mapping[str, Any]) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_EVALUATE = """
callbacks:
  - !import_call:distill_core.train.Evaluate
    loader: *val
    metrics: &metrics
      top1: {metric: !import_call:distill_vision.metrics.Accuracy {}, inputs: {preds: student, target: batch.target}}
      teacher: {metric: !import_call:distill_vision.metrics.Accuracy {}, inputs: {preds: teacher, target: batch.target}}
  - !import_call:distill_core.train.Checkpoint {best: top1}

"""
_TEST = """\
test: {loader: *test, metrics: *metrics}                   # once, at the end: the best epoch is selected on `val`
"""
_NO_TEST = """\
# There is no `test`, because no table has images for it. The values of `val` are optimistic: the best epoch is selected by them.
"""
