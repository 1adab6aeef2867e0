"""What exported files cost and what they reach: size, latency of a sample, and the metrics of the test."""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ...experiment import Evaluation, Experiment, Inputs
from ...export import Exported, OnnxModel, ProgramModel, quantize
from ...number_text import describe_number
from ...taps import BATCH, Tap
from ...train import evaluate
from ...wiring import Wiring
from .._columns import aligned

NUM_ROUNDS, NUM_WARMUPS = 15, 3


@dataclass(frozen=True)
class FileCost:
    """A file, or the model itself, as measured on this machine.

    Attributes:
        name: Its name.
        num_bytes: Its size; of a model that of its parameters and buffers.
        seconds: Median duration of the forward of one sample on the CPU.
        metrics: The metrics of the test that read nothing but the output of the model.
    """

    name: str
    num_bytes: int
    seconds: float
    metrics: Mapping[str, float]


def measure_export(
    exported: Exported,
    network: nn.Module,
    sample: Mapping[str, Tensor],
    experiment: Experiment,
    model: str,
    *,
    int8: bool = False,
) -> list[FileCost]:
    """Measure the model, its exported file and, if requested, an int8 file that is written beside it.

    Args:
        exported: A file of the format `pt2` or `onnx`.
        network: The model.
        sample: Real samples by parameter name.
        experiment: Its test gives data and metrics.
        model: The name of the model in the experiment.
        int8: Also quantize the file, which must be of the format `onnx`.

    Raises:
        DistillError: onnxruntime cannot quantize the file.
    """
    files = {exported.file.name: exported.file}
    if int8:
        small = quantize(exported.file)
        files[small.name] = small
    models: dict[str, nn.Module] = {"the model (torch)": network}
    for name, file in files.items():
        is_onnx = exported.format == "onnx"
        models[name] = OnnxModel(file) if is_onnx else ProgramModel(file, [*exported.inputs], exported.outputs)
    return measure_files(models, files, sample, experiment, model)


def measure_files(
    models: Mapping[str, nn.Module],
    files: Mapping[str, Path],
    sample: Mapping[str, Tensor],
    experiment: Experiment,
    model: str,
) -> list[FileCost]:
    """Measure models that take the same inputs, among them files as `OnnxModel`.

    Args:
        models: The models by name, on the CPU.
        files: Name → file, for the models that are one.
        sample: Real samples by parameter name; the latency is that of the first one.
        experiment: Its test gives data and metrics.
        model: The name in the experiment of the model that the others replace.
    """
    first = {name: value[:1] for name, value in sample.items()}
    test = readable_test(experiment, model)
    feed = next((stage.feed for stage in reversed(experiment.stages) if isinstance(stage.feed, Mapping)), {})
    costs = []
    for name, network in models.items():
        size = (
            files[name].stat().st_size
            if name in files
            else sum(map(_bytes, [*network.parameters(), *network.buffers()]))
        )
        costs.append(FileCost(name, size, _seconds(network, first), _metrics(network, test, feed, model)))
    return costs


def readable_test(experiment: Experiment, model: str) -> Evaluation | None:
    """Return the test with those metrics that read the output of a model and the batch alone; None without any."""
    if experiment.test is None:
        return None
    metrics = {
        name: entry
        for name, entry in experiment.test.metrics.items()
        if all(_is_output(tap, model) for tap in Wiring(entry.inputs, "metric").taps)
    }
    return replace(experiment.test, metrics=metrics) if metrics else None


def _is_output(tap: Tap, model: str) -> bool:
    return tap.source == BATCH or (tap.source == model and not tap.path)


def _metrics(
    network: nn.Module, test: Evaluation | None, feed: Mapping[str, Inputs], model: str
) -> Mapping[str, float]:
    if test is None:
        return {}
    own = {name: inputs for name, inputs in (test.feed or feed).items() if name == model}
    return evaluate({model: network}, replace(test, feed=None), own)


def _seconds(network: nn.Module, inputs: Mapping[str, Tensor]) -> float:
    network.eval()
    durations = []
    with torch.inference_mode():
        for number in range(NUM_WARMUPS + NUM_ROUNDS):
            start = time.perf_counter()
            network(**inputs)
            if number >= NUM_WARMUPS:
                durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def _bytes(tensor: Tensor) -> int:
    return tensor.nbytes


def costs_table(costs: Sequence[FileCost], percent: Collection[str] = ()) -> str:
    """Return a line for each file.

    >>> print(costs_table([FileCost("a.onnx", 1200, 0.002, {"top1": 0.5})], ["top1"]))
            bytes  one sample  test top1
    a.onnx  1,200  2.00 ms     50.00%
    """
    names = list(costs[0].metrics)
    lines = [("", "bytes", "one sample", *(f"test {name}" for name in names))]
    for cost in costs:
        values = (describe_number(cost.metrics[name], percent=name in percent) for name in names)
        lines.append((cost.name, f"{cost.num_bytes:,}", f"{cost.seconds * 1e3:.2f} ms", *values))
    return "\n".join(aligned(lines))
