"""Comparison of an exported file, run without this environment, with the model."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import DistillError
from ._inputs import Inputs

PACKAGES = (
    "accelerate",
    "datasets",
    "distill_core",
    "distill_nlp",
    "distill_vision",
    "distill_zoo",
    "peft",
    "safetensors",
    "timm",
    "tokenizers",
    "torchvision",
    "transformers",
)
"""Packages that neither runtime needs; those of the model's modules are added."""

_BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"the file needs {name}", name=name)

file, cases, tolerance, *BLOCKED = sys.argv[1:]
sys.meta_path.insert(0, Blocked())

def compare(expected, found, what):
    assert len(expected) == len(found), f"{len(found)} outputs, not {len(expected)}"
    for ours, theirs in zip(expected, found):
        assert ours.shape == theirs.shape, f"shape {tuple(theirs.shape)}, not {tuple(ours.shape)}, {what}"
        off = abs(ours - theirs) - float(tolerance) * (1 + abs(ours))
        assert not bool((off > 0).any()), f"numbers that differ by {float(abs(ours - theirs).max()):g}, {what}"

def shapes(inputs):
    return "for " + ", ".join(f"{name} {tuple(value.shape)}" for name, value in inputs.items())
"""
_WITH_TORCH = """
import torch
program = torch.export.load(file).module()
for inputs, expected in torch.load(cases, weights_only=True):
    with torch.no_grad():
        found = program(*inputs.values()) if len(inputs) == 1 else program(**inputs)
    found = [found] if isinstance(found, torch.Tensor) else list(found)
    assert all(ours.dtype == theirs.dtype for ours, theirs in zip(expected, found)), "another dtype"
    compare([each.double() for each in expected], [each.double() for each in found], shapes(inputs))
"""
_WITH_ONNXRUNTIME = """
import json
import numpy
import onnxruntime
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
content = numpy.load(cases)
for inputs, outputs in json.loads(str(content["cases"])):
    inputs = {name: content[key] for name, key in inputs.items()}
    found = session.run(None, inputs)
    compare([content[key].astype("float64") for key in outputs], [each.astype("float64") for each in found], shapes(inputs))
"""


def prove(file: Path, model: nn.Module, cases: Iterable[Inputs]) -> int:
    """Run a `.pt2` or `.onnx` file in another process on each case and compare; return the number of cases.

    The process can import torch, or for ONNX only NumPy and onnxruntime.

    Raises:
        DistillError: The file needs other packages, or its outputs differ from the model's.
    """
    with torch.no_grad():
        pairs = [(inputs, _outputs(model, inputs)) for inputs in cases]
    dtypes = {tensor.dtype for _, outputs in pairs for tensor in outputs}
    tolerance = 2e-2 if dtypes & {torch.float16, torch.bfloat16} else 1e-4
    with tempfile.TemporaryDirectory() as folder:
        blocked: tuple[str, ...]
        if file.suffix == ".onnx":
            path, script, blocked = Path(folder) / "cases.npz", _WITH_ONNXRUNTIME, ("torch", "onnx")
            _save_arrays(pairs, path)
        else:
            path, script, blocked = Path(folder) / "cases.pt", _WITH_TORCH, ()
            torch.save([(inputs, list(outputs)) for inputs, outputs in pairs], path)
        names = sorted({*PACKAGES, *blocked, *_packages_of(model)})
        command = [sys.executable, "-I", "-c", _BLOCK + script, str(file), str(path), str(tolerance), *names]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  this interpreter and a fixed script
    if result.returncode:
        raise DistillError(_failure(file, result.stderr))
    return len(pairs)


def _outputs(model: nn.Module, inputs: Inputs) -> Sequence[Tensor]:
    output = model(**inputs)
    return [output] if isinstance(output, Tensor) else list(output)


def _packages_of(model: nn.Module) -> set[str]:
    packages = {type(module).__module__.partition(".")[0] for module in model.modules()}
    return packages - {"torch", "__main__", "builtins"}


def _save_arrays(pairs: Sequence[tuple[Inputs, Sequence[Tensor]]], path: Path) -> None:
    import json

    import numpy as np

    arrays: dict[str, np.ndarray] = {}
    listed = []
    for case, (inputs, outputs) in enumerate(pairs):
        keys = {name: f"{case}.in.{name}" for name in inputs}
        expected = [f"{case}.out.{index}" for index in range(len(outputs))]
        arrays |= {keys[name]: value.numpy() for name, value in inputs.items()}
        arrays |= {key: value.float().numpy() for key, value in zip(expected, outputs, strict=True)}
        listed.append((keys, expected))
    np.savez(path, cases=np.array(json.dumps(listed)), **arrays)  # type: ignore[arg-type]


def _failure(file: Path, stderr: str) -> str:
    last = (stderr.strip().splitlines() or ["no error message"])[-1]
    kind, _, text = last.partition(": ")
    if kind.endswith("AssertionError"):
        return f"the outputs of the exported {file.suffix[1:]} file differ from the model's: {text}"
    runtime = "NumPy and onnxruntime" if file.suffix == ".onnx" else "torch"
    return f"the exported {file.suffix[1:]} file does not run with {runtime} alone: {last}"
