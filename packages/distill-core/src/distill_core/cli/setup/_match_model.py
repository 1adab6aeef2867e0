"""Tensors with the names and shapes of a model."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ...weights import State, in_layout_of, misfit, mismatches, unwrapped


def fitted(state: State, model: nn.Module, source: Path) -> State:
    """Return tensors with exactly the names and shapes of a model.

    Names of other code bases that the model's class declares are changed to those of the model.

    Raises:
        DistillError: The tensors do not match.
    """
    expected = model.state_dict()
    state = in_layout_of(unwrapped(state, expected), model)
    if wrong := mismatches(state.tensors, expected):
        raise misfit(source, model, wrong)
    proof = f"names and shapes: exactly those of {type(model).__name__}"
    return state._replace(notes=(*state.notes, proof))
