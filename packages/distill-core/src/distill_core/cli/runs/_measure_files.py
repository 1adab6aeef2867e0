"""What exported files cost and what they reach: size, latency of a sample, and the metrics of the test."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ...experiment import Evaluation, Experiment, Inputs
from ...taps import BATCH, Tap
from ...train import evaluate
from ...wiring import Wiring

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
