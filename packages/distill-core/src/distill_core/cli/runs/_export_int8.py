"""The int8 file of `distill export --int8`, and the table of what each file costs and reaches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ...experiment import Experiment
from ...export import OnnxModel, quantize
from .._columns import aligned
from .._numbers import describe_number
from ._measure_files import FileCost, measure_files


def write_int8(file: Path, network: nn.Module, inputs: Mapping[str, Tensor], experiment: Experiment, model: str) -> str:
    """Quantize an ONNX file, measure it, the file and the model, and return the table.

    Raises:
        DistillError: onnxruntime cannot quantize the file.
    """
    small = quantize(file)
    files = {file.name: file, small.name: small}
    models: dict[str, nn.Module] = {
        "the model (torch)": network,
        **{name: OnnxModel(path) for name, path in files.items()},
    }
    costs = measure_files(models, files, dict(inputs), experiment, model)
    percent = experiment.test.percent(costs[0].metrics) if experiment.test else ()
    return table(costs, percent)


def table(costs: list[FileCost], percent: list[str] | tuple[()] = ()) -> str:
    """Return a line for each file.

    >>> print(table([FileCost("a.onnx", 1200, 0.002, {"top1": 0.5})], ["top1"]))
            bytes  one sample  test top1
    a.onnx  1,200  2.00 ms     50.00%
    """
    names = list(costs[0].metrics)
    lines = [("", "bytes", "one sample", *(f"test {name}" for name in names))]
    for cost in costs:
        values = (describe_number(cost.metrics[name], percent=name in percent) for name in names)
        lines.append((cost.name, f"{cost.num_bytes:,}", f"{cost.seconds * 1e3:.2f} ms", *values))
    return "\n".join(aligned(lines))
