"""The inputs of an exported model and their dynamic sizes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..data import as_loader
from ..errors import DistillError
from ..experiment import Experiment
from ..taps import BATCH
from ..wiring import Wiring, read_batch

Inputs = dict[str, Tensor]
_POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length")


def batch_for(experiment: Experiment, network: nn.Module, model: str) -> Inputs:
    """Return a batch of real samples by parameter name.

    Raises:
        DistillError: The model reads another model's tensors, or something that is not a tensor.
    """
    feed: Any = next((stage.feed for stage in reversed(experiment.stages) if isinstance(stage.feed, Mapping)), {})
    first = next(iter(inspect.signature(network.forward).parameters))
    wiring = Wiring(feed.get(model) or {first: "batch.input"}, f"feed.{model}")
    if foreign := [str(tap) for tap in wiring.taps if tap.source != BATCH]:
        message = f"'{model}' reads {', '.join(foreign)}: only a model that is fed from the batch can be exported"
        raise DistillError(message)
    loader = as_loader(experiment.test.loader if experiment.test else experiment.data["train"])
    batch = next(iter(loader))
    inputs = wiring.kwargs({tap: read_batch(batch, tap) for tap in wiring.taps})
    for name, value in inputs.items():
        if not isinstance(value, Tensor) or value.dim() == 0:
            kind = type(value).__name__ if not isinstance(value, Tensor) else "number"
            message = (
                f"'{model}' takes a {kind} as `{name}`, but a program takes tensors whose first dimension is the batch"
            )
            raise DistillError(message, hint="--format safetensors writes the weights of any model, a detector's too")
    return inputs


def dynamic_sizes(network: nn.Module, inputs: Inputs) -> dict[str, dict[int, Any]]:
    """Return the dynamic dimensions of each input: the batch and, for integers (batch, tokens), the sequence.

    Inputs of equal length share one sequence size; the tokens of a decoder may have another.
    """
    batch, longest = torch.export.Dim("batch", min=1), longest_sequence(network)
    lengths = dict.fromkeys(value.shape[1] for value in inputs.values() if is_text(value))
    names = {length: f"sequence{index or ''}" for index, length in enumerate(lengths)}
    sequences = {length: torch.export.Dim(name, min=1, max=longest) for length, name in names.items()}
    return {
        name: {0: batch, 1: sequences[value.shape[1]]} if is_text(value) else {0: batch}
        for name, value in inputs.items()
    }


def is_text(value: Tensor) -> bool:
    """Return whether an input holds tokens or a mask of tokens."""
    return value.dim() == 2 and not value.is_floating_point()


def longest_sequence(network: nn.Module) -> int | None:
    """Return the largest number of tokens that a model supports, if its configuration names it."""
    config = getattr(network, "config", None)
    longest: int | None = next(
        (getattr(config, name) for name in _POSITIONS if isinstance(getattr(config, name, None), int)), None
    )
    if longest is None or longest <= 0:
        return None
    tables = [module for name, module in network.named_modules() if name.endswith("position_embeddings")]
    padding: int | None = getattr(tables[0], "padding_idx", None) if tables else None
    return longest if padding is None else longest - padding - 1  # RoBERTa's positions begin after that of the padding


def proofs(network: nn.Module, inputs: Inputs) -> Iterator[Inputs]:
    """Yield real samples with other batch sizes and lengths than the traced ones."""
    count = max(len(value) for value in inputs.values())
    tokens = [value.shape[1] for value in inputs.values() if is_text(value)]
    for size in (2, 1, 3, count):
        rows = torch.arange(size) % count
        yield {name: value[rows] for name, value in inputs.items()}
    if len(set(tokens)) != 1:
        return
    length = tokens[0]
    longest = min(longest_sequence(network) or 2 * length, 2 * length)
    for size, shown in ((1, 1), (3, length // 2 or 1), (2, longest)):
        rows, columns = torch.arange(size) % count, torch.arange(shown) % length
        yield {name: value[rows][:, columns] if is_text(value) else value[rows] for name, value in inputs.items()}
