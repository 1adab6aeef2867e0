"""Int8 ONNX files by the dynamic quantization of ONNX Runtime, and ONNX files as models."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import DistillError


def quantize(file: Path) -> Path:
    """Write `<name>.int8.onnx` beside an ONNX file: weights are stored as int8, activations are quantized while it runs.

    Raises:
        DistillError: onnxruntime cannot quantize the file.
    """
    quantization = importlib.import_module("onnxruntime.quantization")
    output = file.with_name(f"{file.stem}.int8.onnx")
    try:
        graph = importlib.import_module("onnx").load(str(file)).graph
        # Convolutions run on CPUs with unsigned weights only.
        kind = "QUInt8" if any(node.op_type == "Conv" for node in graph.node) else "QInt8"
        with _quiet():
            quantization.quantize_dynamic(str(file), str(output), weight_type=getattr(quantization.QuantType, kind))
        OnnxModel(output)
    except Exception as error:
        output.unlink(missing_ok=True)
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        message = f"onnxruntime cannot quantize {file.name}: {reason}"
        raise DistillError(message, hint="omit --int8") from error
    return output


class OnnxModel(nn.Module):
    """An ONNX file as a model with the parameter names and outputs of the exported one, run by onnxruntime on the CPU.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        runtime: Any = importlib.import_module("onnxruntime")
        self.session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.outputs = [each.name for each in self.session.get_outputs()]
        names = [each.name for each in self.session.get_inputs()]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])

        def forward(*args: Tensor, **kwargs: Tensor) -> Tensor | dict[str, Tensor]:
            given = signature.bind(*args, **kwargs).arguments
            found = self.session.run(None, {name: value.detach().cpu().numpy() for name, value in given.items()})
            values = {name: torch.from_numpy(value) for name, value in zip(self.outputs, found, strict=True)}
            return values["output"] if list(values) == ["output"] else values

        forward.__signature__ = signature  # type: ignore[attr-defined]
        self.forward = forward


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice of the quantizer, about optional steps, out of the log."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
