"""Features of a teacher and a student that lie at the same stage, as `inputs` of a feature loss."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..adapters import adapt, with_known_layout
from ..errors import WiringError
from ..feature import Feature
from ._model_summary import ModelSummary

_NUM_STAGES = 4
"""Features taken from a model whose blocks all have the same shape."""


@dataclass(frozen=True)
class StageFeature:
    """The last output of a stage of a model.

    Attributes:
        tap: Its address relative to the model.
        shape: Its shape as the model returns it.
        channels: Number of channels.
        size: Height and width of the map; None for a sequence of a text model.
        layout: `nchw`, `nhwc` or `tokens`.
        depth: Share of the model's calls that ended before it, in (0, 1].
    """

    tap: str
    shape: tuple[int, ...]
    channels: int
    size: tuple[int, int] | None
    layout: str
    depth: float


@dataclass(frozen=True)
class FeaturePair:
    """Two features, and what a loss would get of them: the tap, or a mapping that converts it.

    Attributes:
        student: The value of `student` under `inputs`.
        teacher: The value of `teacher` under `inputs`.
        student_feature: The student's feature.
        teacher_feature: The teacher's feature.
    """

    student: str | Mapping[str, Any]
    teacher: str | Mapping[str, Any]
    student_feature: StageFeature
    teacher_feature: StageFeature


def stage_features(model: nn.Module, summary: ModelSummary) -> list[StageFeature]:
    """Return the last feature of each resolution, or four features at equal distances if all have one resolution.

    Args:
        model: The model.
        summary: What `summarise` found.
    """
    found = [
        feature
        for position, (name, output) in enumerate(summary.outputs.items(), start=1)
        if name and (feature := _feature(model, name, output, position / len(summary.outputs)))
    ]
    maps = _last_of_each_size(found)
    if len(maps) > 1:
        return maps
    return _of_equal_blocks([feature for feature in found if feature.size or feature.layout == "tokens"])


def _last_of_each_size(features: Sequence[StageFeature]) -> list[StageFeature]:
    """Return a map of each resolution: of the outermost modules the last, such as `layer1` rather than `layer2.0.act1`."""
    best: dict[tuple[int, int], StageFeature] = {}
    for feature in features:
        if feature.size is None or feature.size == (1, 1):
            continue
        kept = best.get(feature.size)
        if kept is None or feature.tap.count(".") <= kept.tap.count("."):
            best[feature.size] = feature
    return sorted(best.values(), key=lambda feature: feature.depth)


def _of_equal_blocks(features: Sequence[StageFeature]) -> list[StageFeature]:
    """Return the features behind each quarter of the longest series of blocks, `blocks.0`, `blocks.1`, ...."""
    series: dict[str, list[StageFeature]] = {}
    for feature in features:
        if re.search(r"(^|\.)\d+$", feature.tap):
            series.setdefault(feature.tap.rpartition(".")[0], []).append(feature)
    if not series:
        return list(features[-1:])
    blocks = max(series.values(), key=len)
    count = min(_NUM_STAGES, len(blocks))
    return [blocks[round(len(blocks) * (number + 1) / count) - 1] for number in range(count)]


def _feature(model: nn.Module, name: str, output: Any, depth: float) -> StageFeature | None:
    """Return a module's output as a feature; None if it is not a map or a sequence."""
    output = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(output, Tensor) or output.dim() not in {3, 4}:
        return None
    asked = with_known_layout(Feature(f"model.{name}", as_="map"), model)
    shape = tuple(output.shape)
    try:
        channels_first = adapt(output, asked)
    except WiringError:
        return StageFeature(name, shape, shape[-1], None, "tokens", depth) if len(shape) == 3 else None
    layout = asked.layout or ("tokens" if len(shape) == 3 else "nchw")
    _, channels, height, width = channels_first.shape
    return StageFeature(name, shape, channels, (height, width), layout, depth)


def pair_features(student: Sequence[StageFeature], teacher: Sequence[StageFeature]) -> list[FeaturePair]:
    """Return pairs at equal resolutions; if a model has only one resolution, its last stages with the other's last.

    Args:
        student: Features of the student in the order of the forward.
        teacher: Features of the teacher in the order of the forward.
    """
    of_size = {feature.size: feature for feature in teacher if feature.size}
    equal = [(own, of_size[own.size]) for own in student if own.size in of_size]
    has_stages = min(len({f.size for f in student}), len({f.size for f in teacher})) > 1
    if equal and has_stages:
        return [_pair(*both) for both in equal]
    count = min(len(student), len(teacher))
    return [_pair(*both) for both in zip(student[len(student) - count :], teacher[len(teacher) - count :], strict=True)]


def _pair(student: StageFeature, teacher: StageFeature) -> FeaturePair:
    if student.size is None or teacher.size is None:
        return FeaturePair(f"student.{student.tap}", f"teacher.{teacher.tap}", student, teacher)
    size = min(student.size, teacher.size)
    if student.layout == teacher.layout == "tokens" and student.size == teacher.size:
        values = [f"student.{student.tap}", f"teacher.{teacher.tap}"]
        if student.shape[1] == teacher.shape[1]:
            return FeaturePair(values[0], values[1], student, teacher)
        # Only one has a class token, say; without such tokens, both have one for each patch.
        own, other = ({"tap": tap, "as": "tokens"} for tap in values)
        return FeaturePair(own, other, student, teacher)
    return FeaturePair(_value("student", student, size), _value("teacher", teacher, size), student, teacher)


def _value(source: str, feature: StageFeature, size: tuple[int, int]) -> str | Mapping[str, Any]:
    """Return a tap, or a mapping that converts it to a channels-first map of a size."""
    tap = f"{source}.{feature.tap}"
    if feature.layout == "nchw" and feature.size == size:
        return tap
    value: dict[str, Any] = {"tap": tap, "as": "map"}
    if feature.layout == "nhwc":
        value["layout"] = "nhwc"
    return value if feature.size == size else value | {"size": list(size)}
