"""Weights into a model, or the reasons why they do not fit."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..errors import DistillError
from ._head import Head
from ._names import unwrapped
from ._state_dict import read_state

Model = TypeVar("Model", bound=nn.Module)
MOST_SHOWN = 8
logger = logging.getLogger("distill")


def load_weights(
    model: Model,
    path: str | os.PathLike[str],
    *,
    strict: bool = True,
    new_head: bool | str | Sequence[str] = False,
    key: str = "",
) -> Model:
    """Fill `model` with the weights in a file and return it.

    The file can be sharded, and its names can carry those of known wrappers (`module.`, `_orig_mod.`, `model.`). On the
    meta device nothing is read, so a file can be checked before its teacher has been trained.

    Args:
        model: The model.
        path: A `.safetensors` file, one written by `torch.save`, an index of shards (`….index.json`), or a folder that
            holds one of these under transformers' name.
        strict: Refuse missing and unexpected names; otherwise they are logged. Tensors of another shape, and a file of
            which no tensor is the model's, are always refused.
        new_head: Keep the model's own new head and load the rest, which must fit completely. `true`: the linear or
            convolutional layers that have another number of outputs in the file, or the model's last part where the
            file lacks it. A name or several: these modules, whatever the file holds for them.
        key: Where in the file the tensors are, `state_dict.student`, if it holds several models.

    Raises:
        DistillError: The file is missing or damaged, or its tensors do not fit.
    """
    if torch.get_default_device().type == "meta":
        return model
    own = model.state_dict()
    state = unwrapped(read_state(path, key), own)
    others = other_shapes(state.tensors, own)
    fitting = {name: tensor for name, tensor in state.tensors.items() if name not in others}
    head = Head(model, {name: state.tensors[name] for name in others}, own.keys() - fitting.keys(), new_head)
    # Modules may know names that they had before: torchvision's pyramids and heads do.
    taken = {name: tensor for name, tensor in fitting.items() if not head.holds(name)}
    missing, unexpected = model.load_state_dict(taken, strict=False)
    missing = _without_tied(missing, own, taken.keys())
    new = [name for name in missing if head.holds(name)]
    left = [name for name in unexpected if head.replaces(name, taken.keys() & own.keys())]
    absent = [f"{name} is missing in the file" for name in missing if name not in {*new, *others}]
    surplus = [f"{name} is not in the model" for name in unexpected if name not in left]
    wrong = [text for name, text in others.items() if not head.holds(name)]
    if strict or len(unexpected) == len(taken):  # nothing of the file is the model's
        wrong += [*absent, *surplus]
    if wrong:
        raise misfit(path, model, sorted(wrong))
    _report(
        path, state.notes, [*(f"new: {name}" for name in new), *(f"left out: {n}" for n in left), *absent, *surplus]
    )
    return model


def _without_tied(missing: Sequence[str], own: Mapping[str, Tensor], loaded: Collection[str]) -> list[str]:
    """Leave out second names of tensors that have been loaded: a head that is the embedding is saved once."""
    known = {own[name].data_ptr() for name in own.keys() & loaded if not is_lazy(own[name]) and own[name].numel()}
    return [name for name in missing if is_lazy(own[name]) or own[name].data_ptr() not in known]


def _report(path: str | os.PathLike[str], notes: Sequence[str], differences: Sequence[str]) -> None:
    if notes or differences:
        level = logging.WARNING if differences else logging.INFO
        logger.log(level, "weights of %s:\n  %s", path, "\n  ".join([*notes, *differences]))


def other_shapes(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """Name → what is wrong, of each tensor of a file that has another shape in the model."""
    return {
        name: f"{name} is {tuple(weights[name].shape)} in the file and {tuple(own[name].shape)} in the model"
        for name in sorted(own.keys() & weights.keys())
        if not is_lazy(own[name]) and weights[name].shape != own[name].shape
    }


def misfit(path: str | os.PathLike[str], model: nn.Module, wrong: Collection[str]) -> DistillError:
    """The error for a file that does not fit, with the first of what is wrong."""
    more = f"\n  … and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
    shown = "\n  ".join([*wrong][:MOST_SHOWN])
    return DistillError(f"{path} does not fit {type(model).__name__}:\n  {shown}{more}")
