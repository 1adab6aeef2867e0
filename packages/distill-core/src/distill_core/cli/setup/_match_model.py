"""Tensors with the names and shapes of a model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...weights import State, misfit, other_shapes, unwrapped

_LAYOUT = "_state_dict"
_COUNTER = "num_batches_tracked"


def fitted(state: State, model: nn.Module, source: Path) -> State:
    """Return tensors with exactly the names and shapes of a model.

    If they do not match, the layouts of other code bases that the model's package supports are tried.

    Raises:
        DistillError: The tensors do not match.
    """
    expected = model.state_dict()
    state = _with_counters(unwrapped(state, expected), expected)
    mismatches = _mismatches(state.tensors, expected)
    for name, layout in _layouts(model) if mismatches else ():
        try:
            tensors = layout(state.tensors)
        except ValueError:  # another layout
            continue
        if not _mismatches(tensors, expected):
            changed = len(tensors.keys() - state.tensors.keys())
            return State(tensors, (*state.notes, f"names: {changed} changed by {name}", _proof(model)))
    if mismatches:
        raise misfit(source, model, mismatches)
    return State(state.tensors, (*state.notes, _proof(model)))


def _proof(model: nn.Module) -> str:
    return f"names and shapes: exactly those of {type(model).__name__}"


def _with_counters(state: State, expected: Mapping[str, Tensor]) -> State:
    """Add the counters of batch norms, which torch saves only since 0.4.1."""
    absent = [name for name in expected.keys() - state.tensors.keys() if name.endswith(_COUNTER)]
    counters = [name for name in absent if f"{name.removesuffix(_COUNTER)}running_var" in state.tensors]
    if not counters:
        return state
    added = {name: torch.zeros((), dtype=expected[name].dtype) for name in counters}
    note = f"added: '{_COUNTER}' of {len(counters)} batch norm{'s' * (len(counters) > 1)}, 0"
    return State(state.tensors | added, (*state.notes, note))


def _mismatches(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{name} is missing in the file" for name in sorted(expected.keys() - tensors.keys())]
    surplus = [f"{name} is not in the model" for name in sorted(tensors.keys() - expected.keys())]
    return [*missing, *surplus, *other_shapes(tensors, expected).values()]


def _layouts(model: nn.Module) -> Iterator[tuple[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]]]:
    """Yield the functions `…_state_dict` that a package of Distill exports beside its models."""
    package = type(model).__module__.rpartition(".")[0]
    if not package.startswith("distill_"):
        return
    for name, value in vars(sys.modules[package]).items():
        if name.endswith(_LAYOUT) and not name.startswith("_") and callable(value):
            yield f"{package}.{name}", value
