"""Taps of models and pairs of them as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...number_text import short
from ...preview import ExampleInputs, FeaturePair, ModelSummary, ModuleSummary, StageFeature
from ...tree import tensors
from .._columns import aligned


def taps_text(summary: ModelSummary, taps: Sequence[ModuleSummary], example: ExampleInputs) -> str:
    """Return a table of modules, with a line above about the model and one below about what is missing."""
    model = summary.modules[0]
    inputs = [*example.args, *example.kwargs.values()]
    shapes = ", ".join(_shape(tuple(tensor.shape)) for tensor in tensors(inputs))
    head = f"{model.kind}: {short(model.num_parameters)} parameters, {short(model.flops)} FLOPs"
    rows = [("tap", "kind", "output", "parameters", "FLOPs")] + [_row(module) for module in taps]
    lines = [f"{head} for an input of {shapes} ({example.source})", "", *aligned(rows)]
    if not summary.is_complete:
        lines += ["", "the forward stopped where it needs values, so modules behind that place have no shapes"]
    return "\n".join(lines)


def _row(module: ModuleSummary) -> tuple[str, str, str, str, str]:
    shapes = ", ".join(map(_shape, module.shapes[:3])) + (", …" if len(module.shapes) > 3 else "")
    calls = f" ({module.num_calls} calls)" if module.num_calls > 1 else ""
    name = module.tap or "(the model)"
    return name, module.kind, (shapes or "–") + calls, short(module.num_parameters), short(module.flops)


def pairs_text(pairs: Sequence[FeaturePair]) -> str:
    """Return `inputs` of a feature loss for each pair, to be copied into a file."""
    lines = []
    for pair in pairs:
        lines.append(f"# student {_about(pair.student_feature)}, teacher {_about(pair.teacher_feature)}")
        lines.append(f"inputs: {{student: {_yaml(pair.student)}, teacher: {_yaml(pair.teacher)}}}")
    return "\n".join(lines)


def _about(feature: StageFeature) -> str:
    size = f" at {feature.size[0]}×{feature.size[1]}" if feature.size else ""
    return f"{feature.channels} channels{size}"


def _yaml(value: str | Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    return "{" + ", ".join(f"{key}: {item}" for key, item in value.items()) + "}"


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"
