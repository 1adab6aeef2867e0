"""Export of a model to a file that is verified against the model."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import DistillError, did_you_mean
from ..weights import read_weights, save_weights
from ._adapters import merge_adapters
from ._gguf import convert, find_converter
from ._inputs import Inputs, dynamic_sizes, is_text, proofs
from ._pretrained import compare_outputs, pipeline_of, prove_folder, replace_folder, write_pretrained
from ._proof import prove
from ._tensors_only import TensorsOnly, answer

FORMATS = ("pt2", "onnx", "safetensors", "transformers", "gguf")
FOLDERS = ("transformers", "gguf")
"""Formats that start from a folder in the layout of transformers."""
_PLAIN_OUTPUT = {"use_cache": False, "output_hidden_states": False, "output_attentions": False, "return_dict": True}


@dataclass(frozen=True)
class Exported:
    """A file or folder that has been written and verified.

    Attributes:
        file: Path of the file or folder.
        format: One of `FORMATS`.
        inputs: Name → shape and dtype; `batch` and `sequence` are dynamic sizes.
        outputs: Names of the outputs.
        proof: One sentence about the comparison.
        task: The task of the model in a pipeline of transformers, if it has one.
    """

    file: Path
    format: str
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: tuple[str, ...]
    proof: str
    task: str = ""


def export(
    network: nn.Module,
    inputs: Inputs,
    file: Path,
    format: str = "pt2",  # noqa: A002  as the option is called
    *,
    tokenizer: Any = None,
    converter: Path | None = None,
    class_names: Sequence[str] = (),
) -> Exported:
    """Write a model to a file or folder, which appears only after it has been verified.

    `pt2` is a program for `torch.export.load`, `onnx` one for onnxruntime. Both accept batches of any size and texts of
    any length. Images keep their size. `safetensors` holds the weights alone. `transformers` is a folder for
    `from_pretrained`, and `gguf` a file that llama.cpp's converter makes of one. Adapters are added to the weights.

    Args:
        network: The model; it is set to eval mode.
        inputs: Real samples by parameter name; not needed for `safetensors`.
        file: Output path.
        format: One of `FORMATS`.
        tokenizer: The tokenizer, for `transformers` and `gguf`.
        converter: llama.cpp's converter, for `gguf`; see `find_converter`.
        class_names: The classes in the order of the outputs, for `transformers`; a model's own names take precedence.

    Raises:
        DistillError: The format is unknown or its packages are missing, the model cannot be traced or has no
            `save_pretrained`, its adapters cannot be merged, or the outputs of the file and the model differ.
    """
    _check_format(network, format)
    network.eval().cpu()
    outputs: tuple[str, ...] = ()
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".export-") as folder, _plain_output(network):
        unverified = Path(folder) / f"model.{format}"
        merged = merge_adapters(network)
        if merged is not network and inputs:
            compare_outputs(network, merged, inputs, "the model with merged adapters")
        if format == "safetensors":
            proof = _write_weights(merged, unverified)
        elif format in FOLDERS:
            proof = _write_folder(merged, inputs, unverified, tokenizer, converter, class_names)
        else:
            proof, outputs = _write_program(merged, inputs, unverified)
        if unverified.is_dir():
            replace_folder(unverified, file)
        else:
            os.replace(unverified, file)
        described = {name: _describe(name, merged, inputs) for name in inputs}
    task = pipeline_of(merged) if format in FOLDERS else ""
    return Exported(file, format, described, outputs, proof, task)


def _check_format(network: nn.Module, format: str) -> None:  # noqa: A002  as the option is called
    if format not in FORMATS:
        message = f"there is no format '{format}'"
        raise DistillError(message, hint=did_you_mean(format, FORMATS))
    if format == "onnx":
        _require_onnx()
    if format in FOLDERS and not hasattr(network, "save_pretrained"):
        message = f"--format {format} needs a model of transformers, got {type(network).__name__}"
        raise DistillError(message, hint="--format safetensors writes the weights of any model")


def _write_folder(
    network: nn.Module,
    inputs: Inputs,
    path: Path,
    tokenizer: Any,
    converter: Path | None,
    class_names: Sequence[str],
) -> str:
    if path.suffix == ".transformers":
        write_pretrained(network, path, tokenizer=tokenizer, class_names=class_names)
        return prove_folder(network, path, inputs)
    if tokenizer is None:
        message = "--format gguf needs a tokenizer, and the data and callbacks of the run have none"
        raise DistillError(message, hint="add `SavePretrained` with a tokenizer to the callbacks")
    script = find_converter(converter, "distill export RUN_DIR --format gguf")
    write_pretrained(network, path.with_suffix(""), tokenizer=tokenizer)
    return convert(path.with_suffix(""), path, script)


def _write_weights(network: nn.Module, file: Path) -> str:
    save_weights(network, file)
    expected, written = network.state_dict(), read_weights(file)
    if expected.keys() != written.keys() or not all(
        torch.equal(expected[name].cpu(), written[name]) for name in written
    ):
        message = "the weights in the file differ from those of the model"
        raise DistillError(message)
    return f"{len(expected)} tensors read back and equal"


def _write_program(network: nn.Module, inputs: Inputs, file: Path) -> tuple[str, tuple[str, ...]]:
    plain = TensorsOnly(network, [*inputs]).eval()
    first, *others = proofs(network, inputs)
    with torch.no_grad():
        outputs = tuple(answer(network(*first.values()) if len(first) == 1 else network(**first)))
    sizes = dynamic_sizes(network, first)
    program = _traced(plain, first, sizes)
    if file.suffix == ".onnx":
        _to_onnx(program, sizes, outputs, file)
    else:
        torch.export.save(program, file)
    cases = [first, *others]
    prove(file, plain, cases)
    return f"its outputs equal the model's for {_sizes(cases)}", outputs


def _sizes(cases: Sequence[Inputs]) -> str:
    """Return the sizes of batches of real samples as text.

    >>> _sizes([{"input": torch.zeros(2, 3, 8, 8)}, {"input": torch.zeros(1, 3, 8, 8)}])
    'batches of 2 and 1 real samples'
    >>> _sizes([{"input_ids": torch.ones(2, 9, dtype=torch.long)}])
    'batches of real samples: 2 of 9 tokens'
    """
    shapes = [next(iter(case.values())).shape for case in cases]
    if any(map(_has_text, cases)):
        return "batches of real samples: " + ", ".join(f"{shape[0]} of {shape[1]} tokens" for shape in shapes)
    *first, last = (str(shape[0]) for shape in shapes)
    return f"batches of {', '.join(first)}{' and ' if first else ''}{last} real samples"


def _traced(plain: nn.Module, first: Inputs, sizes: Mapping[str, Any]) -> Any:
    """Return the program; a single input is passed by position, several by name."""
    arguments, keywords = (tuple(first.values()), {}) if len(first) == 1 else ((), dict(first))
    try:
        with torch.no_grad():
            program = torch.export.export(plain, arguments, keywords, dynamic_shapes=dict(sizes))
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        message = f"the model cannot be traced for batches of any size: {reason}"
        raise DistillError(message, hint="--format safetensors writes the weights of any model") from error
    if "torchvision" in {getattr(node.target, "namespace", "") for node in program.graph.nodes}:
        message = "the model calls operators of torchvision (nms, roi_align), which torch alone lacks"
        raise DistillError(message, hint="--format safetensors writes the weights of any model")
    return program


def _to_onnx(program: Any, sizes: dict[str, dict[int, Any]], outputs: tuple[str, ...], file: Path) -> None:
    """Write a program; its dynamic dimensions keep the names of `sizes`, which torch.export forgets."""
    first = {axes[axis]: (name, axis) for name, axes in reversed(sizes.items()) for axis in axes}
    once = {  # torch warns of a size that it is given twice
        name: {axis: size if first[size] == (name, axis) else None for axis, size in axes.items()}
        for name, axes in sizes.items()
    }
    names: dict[str, Any] = {"input_names": [*sizes], "output_names": [*outputs], "dynamic_shapes": once}
    try:
        torch.onnx.export(program, f=file, external_data=False, verbose=False, **names)
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        message = f"the model cannot be converted to ONNX: {reason}"
        raise DistillError(message, hint="--format pt2") from error


def _require_onnx() -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if not _is_installed(name)]
    if missing:
        message = f"--format onnx needs {', '.join(missing)}"
        raise DistillError(message, hint="pip install 'distill-core[export]'")


def _is_installed(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def _plain_output(network: nn.Module) -> Iterator[None]:
    """Configure a model of transformers to return its main output alone."""
    config: Any = getattr(network, "config", None)
    before = {name: getattr(config, name) for name in _PLAIN_OUTPUT if hasattr(config, name)}
    for name in before:
        setattr(config, name, _PLAIN_OUTPUT[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


def _has_text(inputs: Inputs) -> bool:
    return any(map(is_text, inputs.values()))


def _describe(name: str, network: nn.Module, inputs: Inputs) -> dict[str, Any]:
    value = inputs[name]
    sizes = dynamic_sizes(network, inputs)[name]
    shape = [sizes[axis].__name__ if axis in sizes else size for axis, size in enumerate(value.shape)]
    return {"shape": shape, "dtype": str(value.dtype).removeprefix("torch.")}
