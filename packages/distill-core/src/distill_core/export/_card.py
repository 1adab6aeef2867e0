"""The model card of a saved or exported model, with metadata that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._export import Exported
from ._front_matter import front_matter
from ._sidecar import Sidecar
from ._training import Training

_CALL = {
    "pt2": ["import torch", "model = torch.export.load('{file}').module()", "out = model({call})    # {shapes}"],
    "onnx": [
        "import onnxruntime",
        "model = onnxruntime.InferenceSession('{file}')",
        "out = model.run(None, {{{feed}}})    # {shapes}",
    ],
    "safetensors": ["from distill_core.weights import load_weights", "model = load_weights(model, '{file}')"],
    "transformers": ["from transformers import AutoModel", "model = AutoModel.from_pretrained('{file}')"],
    "pipeline": ["from transformers import pipeline", "pipe = pipeline('{task}', '{file}')"],
    "peft": ["from distill_nlp.models import with_adapter", "model = with_adapter(base_model, '{file}')"],
    "gguf": ["# llama-cli -m {file}"],
}
_LIBRARIES = {"transformers": "transformers", "peft": "peft", "gguf": "gguf", "onnx": "onnx"}
"""Format → `library_name` on the hub."""


def usage(exported: Exported) -> list[str]:
    """Return the lines of Python that load and call the file."""
    shapes = "; ".join(f"{name} ({', '.join(map(str, each['shape']))})" for name, each in exported.inputs.items())
    names = list(exported.inputs)
    call = ", ".join(names) if len(names) == 1 else ", ".join(f"{name}={name}" for name in names)
    feed = ", ".join(f"'{name}': {name}" for name in names)
    kind = "pipeline" if exported.format == "transformers" and exported.task else exported.format
    values = {"file": exported.file, "call": call, "feed": feed, "shapes": shapes, "task": exported.task}
    return [line.format(**values) for line in _CALL[kind]]


def model_card(exported: Exported, sidecar: Sidecar, model: str, training: Training) -> str:
    """Return a model card in Markdown: metadata, usage, metrics, training, inputs, recipe.

    Args:
        exported: The file or folder.
        sidecar: Class names, preprocessing and tokenizer.
        model: Name of the model in the run.
        training: Its training.
    """
    results = training.results
    title = f"{model}: {training.models.get(model, '')}"
    lines = [*front_matter(_metadata(exported, model, training)), "", f"# {title}", ""]
    lines += [results["about"], ""] if results.get("about") else []
    lines += ["```python", *usage(exported), "```", ""]
    lines += [f"Verified at export: {exported.proof}.", ""] if exported.proof else []
    lines += _metrics(results)
    lines += _training(training)
    lines += _inputs(exported, sidecar)
    lines += ["## Recipe", "", "```yaml", training.recipe.rstrip(), "```", ""] if training.recipe else []
    return "\n".join(lines)


def _metadata(exported: Exported, model: str, training: Training) -> dict[str, Any]:
    """Return the metadata by the keys of the hub."""
    has_teacher = any(name.startswith("teacher") for name in training.models)
    return {
        "license": training.license,
        "library_name": _LIBRARIES.get(exported.format, ""),
        "pipeline_tag": exported.task,
        "base_model": training.base_model,
        "datasets": list(training.datasets),
        "tags": ["knowledge-distillation"] * has_teacher + ["distill"],
        "model-index": _model_index(exported, model, training),
    }


def _model_index(exported: Exported, model: str, training: Training) -> list[dict[str, Any]]:
    metrics = training.results.get("test") or {}
    if not metrics:
        return []
    dataset = training.datasets[0] if training.datasets else "test"
    result = {
        "task": {"type": exported.task or "other"},
        "dataset": {"name": dataset, "type": dataset, "split": "test"},
        "metrics": [{"type": name, "name": name, "value": value} for name, value in metrics.items()],
    }
    return [{"name": model, "results": [result]}]


def _metrics(results: Mapping[str, Any]) -> list[str]:
    metrics = results.get("test") or {}
    if not metrics:
        return []
    percent = results.get("percent", ())
    rows = (
        f"| {name} | {value:.2%} |" if name in percent else f"| {name} | {value:g} |" for name, value in metrics.items()
    )
    return ["## Metrics", "", "| metric | test |", "|---|---|", *rows, ""]


def _training(training: Training) -> list[str]:
    teachers = {name: kind for name, kind in training.models.items() if name.startswith("teacher")}
    lines: Sequence[str] = [
        *_items(teachers),
        f"- losses: {', '.join(training.losses)}",
        *_items(training.data),
        f"- seed: {training.results.get('seed')}",
    ]
    return ["## Training", "", *lines, ""]


def _inputs(exported: Exported, sidecar: Sidecar) -> list[str]:
    lines: Iterable[str] = [
        *(
            f"- `{name}`: {', '.join(map(str, each['shape']))}, {each['dtype']}"
            for name, each in exported.inputs.items()
        ),
        *_items(sidecar.preprocessing),
        *([f"- classes: {', '.join(sidecar.class_names)}"] if sidecar.class_names else []),
    ]
    return ["## Inputs", "", *lines, ""] if lines else []


def _items(values: Mapping[str, Any]) -> list[str]:
    return [f"- {name}: {value}" for name, value in values.items()]
