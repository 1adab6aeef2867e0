"""Loading of tensors into a model, with a report of all mismatches and their likely cause."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ._errors import ZooError

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_SHOWN = 12
logger = logging.getLogger("distill")


def fill(
    name: str,
    model: nn.Module,
    weights: Mapping[str, Tensor],
    ignored: Collection[str] = (),
    head: Collection[str] = (),
) -> list[str]:
    """Copy the weights into the model. Return and log the names of the tensors that stay newly initialised.

    `num_batches_tracked` of a batch norm may be missing: files from before torch 0.4.1 do not have it.

    Args:
        name: The model's name, for messages.
        model: The model.
        weights: Tensors by name.
        ignored: Names in the file that the model does not use.
        head: Names of tensors that stay newly initialised if those of the file do not match.

    Raises:
        ZooError: A tensor is missing, unexpected or has a different shape. The message lists all mismatches.
    """
    own = model.state_dict()
    filled = {own[key].data_ptr() for key in own.keys() & weights.keys() if own[key].numel()}
    missing = [
        key
        for key in own.keys() - weights.keys()
        if not key.endswith("num_batches_tracked") and own[key].data_ptr() not in filled  # tied to another name
    ]
    surplus = weights.keys() - own.keys() - set(ignored)
    other = {
        key: (tuple(weights[key].shape), tuple(own[key].shape))
        for key in own.keys() & weights.keys()
        if own[key].shape != weights[key].shape
    }
    new = sorted((set(missing) | other.keys()) & set(head))
    other = {key: shapes for key, shapes in other.items() if key not in new}
    wrong = [f"{key} is missing from the file" for key in missing if key not in new]
    wrong += [f"{key} is not in the model" for key in surplus if key not in head]
    wrong += [f"{key} is {inside} in the file and {wanted} in the model" for key, (inside, wanted) in other.items()]
    if wrong:
        more = [f"… and {len(wrong) - MOST_SHOWN} more"] if len(wrong) > MOST_SHOWN else []
        shown = "\n  ".join([*sorted(wrong)[:MOST_SHOWN], *more])
        message = f"the weights of {name} do not match {type(model).__name__}:\n  {shown}"
        raise ZooError(message, hint=_cause(own, weights, other))
    if new:
        logger.warning("weights of %s: newly initialised, not loaded: %s", name, ", ".join(new))
    model.load_state_dict({key: value if key in new else weights.get(key, value) for key, value in own.items()})
    return new


Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def _cause(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], other: Mapping[str, Shapes]) -> str:
    if not own.keys() & weights.keys():
        return (
            f"use the weights of the same architecture: no name matches, the file has '{min(weights)}', the model"
            f" '{min(own)}'"
        )
    first = {(inside[0], wanted[0]) for inside, wanted in other.values() if inside and wanted}
    same_rest = all(inside[1:] == wanted[1:] for inside, wanted in other.values())
    layers = {key.rpartition(".")[0] for key in other}
    if other and same_rest and len(first) == 1 and len(layers) <= 2:
        inside, wanted = first.pop()
        return (
            f"build the model with the {inside} classes of the file instead of {wanted}, then replace"
            f" {' and '.join(sorted(layers)) or 'the last layer'}"
        )
    if len(other) == 1:
        inside_shape, wanted_shape = next(iter(other.values()))
        if len(inside_shape) == len(wanted_shape) == 4 and inside_shape[0] == wanted_shape[0]:
            return f"build the model for the {inside_shape[1]} input channels of the file instead of {wanted_shape[1]}"
    if other:
        return "build the model with the width of the trained one"
    return "build the model with the depth and the layers of the trained one"
