"""Tensors with the names and shapes of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ...weights import State, in_layout_of, misfit, other_shapes, unwrapped


def fitted(state: State, model: nn.Module, source: Path) -> State:
    """Return tensors with exactly the names and shapes of a model.

    Names of other code bases that the model's class declares are changed to those of the model.

    Raises:
        DistillError: The tensors do not match.
    """
    expected = model.state_dict()
    state = in_layout_of(unwrapped(state, expected), model)
    if mismatches := _mismatches(state.tensors, expected):
        raise misfit(source, model, mismatches)
    proof = f"names and shapes: exactly those of {type(model).__name__}"
    return state._replace(notes=(*state.notes, proof))


def _mismatches(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{name} is missing in the file" for name in sorted(expected.keys() - tensors.keys())]
    surplus = [f"{name} is not in the model" for name in sorted(tensors.keys() - expected.keys())]
    return [*missing, *surplus, *other_shapes(tensors, expected).values()]
