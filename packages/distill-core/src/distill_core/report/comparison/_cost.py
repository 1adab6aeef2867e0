"""What a model costs on this machine: parameters, FLOPs, latency, memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

NUM_ROUNDS = 15


@dataclass(frozen=True)
class ModelCost:
    """The cost of a forward on one batch.

    Attributes:
        parameters: Number of parameters; shared ones are counted once.
        flops: Floating-point operations.
        seconds: Median duration.
        weight_bytes: Bytes of parameters and buffers.
        activation_bytes: Greatest memory that the forward takes on the GPU besides the weights; None on a CPU.
    """

    parameters: int
    flops: int
    seconds: float
    weight_bytes: int
    activation_bytes: int | None


def measure_costs(
    models: Mapping[str, nn.Module],
    inputs: Mapping[str, tuple[tuple[Any, ...], Mapping[str, Any]]],
    *,
    rounds: int = NUM_ROUNDS,
) -> dict[str, ModelCost]:
    """Measure each model in eval mode with its inputs. Models take turns, so that a slow moment of the machine hits all.

    Args:
        models: The models by name, on their device.
        inputs: The arguments of each model by position and by name.
        rounds: Number of measured forwards of each model, after a fifth as many that are not.
    """
    warm_ups = -(-rounds // 5)
    calls = {name: _call(model, *inputs[name]) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        flops = {name: _flops(call) for name, call in calls.items()}
        for number in range(warm_ups + rounds):
            for name, call in calls.items():
                duration = _duration(call)
                if number >= warm_ups:
                    seconds[name].append(duration)
        activations = {name: _activation_bytes(call) for name, call in calls.items()}
    return {
        name: _cost(model, flops[name], statistics.median(seconds[name]), activations[name])
        for name, model in models.items()
    }


def _cost(model: nn.Module, flops: int, seconds: float, activation_bytes: int | None) -> ModelCost:
    weight_bytes = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelCost(parameters, flops, seconds, weight_bytes, activation_bytes)


def _call(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Callable[[], Any]:
    model.eval()
    return lambda: model(*args, **kwargs)


def _flops(call: Callable[[], Any]) -> int:
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return int(counter.get_total_flops())


def _duration(call: Callable[[], Any]) -> float:
    _wait()
    start = time.perf_counter()
    call()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _activation_bytes(call: Callable[[], Any]) -> int | None:
    if not torch.cuda.is_available():
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_allocated() - before
