"""Weights into a model, or all the reasons why they do not fit, and the likely cause."""

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
    """Copy the weights into the model; return and log the names of the tensors that stay new.

    How often a batch norm was used may be missing: files from before torch 0.4.1 do not say it.

    Args:
        name: What to call the model in a message.
        model: The model.
        weights: Tensors by name.
        ignored: Names in the file that may be left over.
        head: Names of tensors that stay as they are in the model if those of the file do not fit.

    Raises:
        ZooError: A tensor is missing, left over or of another shape; those that are wrong are listed.
    """
    own = model.state_dict()
    missing = [key for key in own.keys() - weights.keys() if not key.endswith("num_batches_tracked")]
    surplus = weights.keys() - own.keys() - set(ignored)
    other = {
        key: (tuple(weights[key].shape), tuple(own[key].shape))
        for key in own.keys() & weights.keys()
        if own[key].shape != weights[key].shape
    }
    new = sorted((set(missing) | other.keys()) & set(head))
    other = {key: shapes for key, shapes in other.items() if key not in new}
    wrong = [f"{key} is missing in the file" for key in missing if key not in new]
    wrong += [f"{key} is not in the model" for key in surplus if key not in head]
    wrong += [f"{key} is {inside} in the file and {wanted} in the model" for key, (inside, wanted) in other.items()]
    if wrong:
        more = [f"… and {len(wrong) - MOST_SHOWN} more"] if len(wrong) > MOST_SHOWN else []
        shown = "\n  ".join([*sorted(wrong)[:MOST_SHOWN], *more, f"hint: {_cause(own, weights, other)}"])
        message = f"the weights of {name} do not fit {type(model).__name__}:\n  {shown}"
        raise ZooError(message)
    if new:
        logger.warning("weights of %s: new, not from the file: %s", name, ", ".join(new))
    model.load_state_dict({key: value if key in new else weights.get(key, value) for key, value in own.items()})
    return new


Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def _cause(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], other: Mapping[str, Shapes]) -> str:
    if not own.keys() & weights.keys():
        return (
            f"no name is the same: the file has '{min(weights)}', the model '{min(own)}'; it is of another architecture"
        )
    first = {(inside[0], wanted[0]) for inside, wanted in other.values() if inside and wanted}
    same_rest = all(inside[1:] == wanted[1:] for inside, wanted in other.values())
    layers = {key.rpartition(".")[0] for key in other}
    if other and same_rest and len(first) == 1 and len(layers) <= 2:
        inside, wanted = first.pop()
        return (
            f"the file is for {inside} classes, the model for {wanted}: load it with its own number, and replace"
            f" {' and '.join(sorted(layers)) or 'the last layer'} afterwards"
        )
    if len(other) == 1:
        inside_shape, wanted_shape = next(iter(other.values()))
        if len(inside_shape) == len(wanted_shape) == 4 and inside_shape[0] == wanted_shape[0]:
            return f"the file is for images of {inside_shape[1]} channels, the model for {wanted_shape[1]}"
    if other:
        return "the model is wider or narrower than the one that was trained"
    return "the model is deeper or shallower than the one that was trained, or has other parts"
