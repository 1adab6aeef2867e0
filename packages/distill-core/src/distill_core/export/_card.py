"""The model card of an exported model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._export import Exported
from ._sidecar import Sidecar

_CALL = {
    "pt2": ["import torch", "model = torch.export.load('{file}').module()", "out = model({call})    # {shapes}"],
    "onnx": [
        "import onnxruntime",
        "model = onnxruntime.InferenceSession('{file}')",
        "out = model.run(None, {{{feed}}})    # {shapes}",
    ],
    "safetensors": ["from distill_core.weights import load_weights", "model = load_weights(model, '{file}')"],
}


def usage(exported: Exported) -> list[str]:
    """Return the lines of Python that load and call the file."""
    shapes = "; ".join(f"{name} ({', '.join(map(str, each['shape']))})" for name, each in exported.inputs.items())
    names = list(exported.inputs)
    call = ", ".join(names) if len(names) == 1 else ", ".join(f"{name}={name}" for name in names)
    feed = ", ".join(f"'{name}': {name}" for name in names)
    return [line.format(file=exported.file, call=call, feed=feed, shapes=shapes) for line in _CALL[exported.format]]


def model_card(exported: Exported, sidecar: Sidecar, model: str, run: Mapping[str, Any]) -> str:
    """Return a model card in Markdown: description, usage, metrics, training.

    Args:
        exported: The file.
        sidecar: Class names, preprocessing and tokenizer.
        model: Name of the model in the run.
        run: `results` (the content of `results.json`), `models` (name → description), `recipe` (the YAML text), `losses`.
    """
    results = run["results"]
    teachers = {name: kind for name, kind in run["models"].items() if name.startswith("teacher")}
    lines = [
        f"# {model}: {run['models'].get(model, '')}",
        "",
        *([results["about"], ""] if results.get("about") else []),
    ]
    lines += ["```python", *usage(exported), "```", "", f"Verified at export: {exported.proof}.", ""]
    lines += _metrics(results)
    lines += ["## Training", "", *(f"- {name}: {kind}" for name, kind in teachers.items())]
    lines += [f"- losses: {', '.join(run['losses'])}", f"- seed: {results.get('seed')}", ""]
    lines += ["## Inputs", ""]
    lines += [
        f"- `{name}`: {', '.join(map(str, each['shape']))}, {each['dtype']}" for name, each in exported.inputs.items()
    ]
    lines += [f"- {name}: {value}" for name, value in sidecar.preprocessing.items()]
    lines += [f"- classes: {', '.join(sidecar.class_names)}"] if sidecar.class_names else []
    lines += ["", "## Recipe", "", "```yaml", run["recipe"].rstrip(), "```", ""]
    return "\n".join(lines)


def _metrics(results: Mapping[str, Any]) -> list[str]:
    metrics = results.get("test") or {}
    if not metrics:
        return []
    percent = results.get("percent", ())
    rows = (
        f"| {name} | {value:.2%} |" if name in percent else f"| {name} | {value:g} |" for name, value in metrics.items()
    )
    return ["## Metrics", "", "| metric | test |", "|---|---|", *rows, ""]
