"""Calibration: confidence against accuracy, and the temperature that fits them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

NUM_BINS = 15
NUM_HALVINGS = 60
RANGE = (math.log(1e-2), math.log(1e2))
"""Logarithms of the least and the greatest temperature."""


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: bins of equal width in the confidence, without the empty ones.

    Attributes:
        confidence: Mean confidence of each bin.
        accuracy: Accuracy of each bin.
        count: Number of samples of each bin.
        ece: Expected calibration error: the mean distance of confidence and accuracy over all samples.
        temperature: The temperature that divided the logits.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]
    ece: float
    temperature: float


def reliability(logits: Tensor, target: Tensor, *, temperature: float = 1.0, num_bins: int = NUM_BINS) -> Reliability:
    """Return the reliability diagram of logits (samples, classes) and classes (samples,).

    Bins contain their upper edge, as in the definition of Guo et al. (2017).
    """
    confidence, prediction = (logits.double() / temperature).softmax(1).max(1)
    right = (prediction == target).double()
    index = (confidence * num_bins).ceil().long().sub(1).clamp(0, num_bins - 1)
    zeros = torch.zeros(num_bins, dtype=torch.float64)
    count = zeros.index_add(0, index, torch.ones_like(confidence))
    filled = count > 0
    means = [zeros.index_add(0, index, values)[filled] / count[filled] for values in (confidence, right)]
    ece = float(((means[0] - means[1]).abs() * count[filled]).sum() / count.sum())
    return Reliability(
        confidence=tuple(means[0].tolist()),
        accuracy=tuple(means[1].tolist()),
        count=tuple(map(int, count[filled].tolist())),
        ece=ece,
        temperature=temperature,
    )


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """Return the temperature with the least negative log-likelihood, between 0.01 and 100.

    The likelihood has one minimum in the inverse temperature, so the sign of its derivative halves the interval.
    """
    low, high = RANGE
    logits = logits.double()
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        scale = torch.tensor(math.exp(-middle), dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(cross_entropy(logits * scale, target), scale)
        low, high = (middle, high) if slope > 0 else (low, middle)  # positive: a smaller scale is better
    return math.exp((low + high) / 2)


def calibration(logits: Tensor, target: Tensor) -> tuple[Reliability, Reliability]:
    """Return the diagrams before and after temperature scaling.

    The temperature is fitted on every second sample and both diagrams are of the other samples, so that it is not tested on
    what it was fitted to.
    """
    temperature = fit_temperature(logits[1::2], target[1::2]) if len(logits) > 1 else 1.0
    rest, truth = logits[::2], target[::2]
    return reliability(rest, truth), reliability(rest, truth, temperature=temperature)
