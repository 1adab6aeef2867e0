"""Loading of weights into a model, and the error if they do not fit."""

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
from ._layouts import in_layout_of
from ._names import unwrapped
from ._state_dict import read_state

Model = TypeVar("Model", bound=nn.Module)
MAX_SHOWN = 8
logger = logging.getLogger("distill")


def load_weights(
    model: Model,
    path: str | os.PathLike[str],
    *,
    strict: bool = True,
    new_head: bool | str | Sequence[str] = False,
    key: str = "",
) -> Model:
    """Load the weights in a file into `model`, and return it.

    The file can be sharded, and its names can have the prefixes of known wrappers (`module.`, `_orig_mod.`, `model.`), or
    be those of a `Layout` that the model's class declares. On the meta device nothing is read, so that an experiment can be checked before its teacher has been trained.

    Args:
        model: The model.
        path: A `.safetensors` file, one written by `torch.save`, an index of shards (`….index.json`), or a folder that
            holds one of these under transformers' name.
        strict: Refuse missing and unexpected names; otherwise they are logged. Tensors of another shape, and a file
            without any tensor of the model, are always refused.
        new_head: Keep the model's new head and load the rest, which must match completely. `true` selects the linear or
            convolutional layers whose number of outputs differs in the file, or the model's last module if the file
            lacks it. One or more names select these modules, whatever the file holds for them.
        key: Key of the tensors in a file with several models: `state_dict.student`.

    Raises:
        DistillError: The file is missing or damaged, its tensors do not fit, or `model` is not a module.
    """
    given: object = model  # a file may write anything
    if not isinstance(given, nn.Module):
        message = f"`model` must be an nn.Module, got {type(model).__name__}"
        raise DistillError(
            message, hint="build it by a tag, such as !import_call:timm.create_model {model_name: resnet18}"
        )
    if torch.get_default_device().type == "meta":
        return model
    expected = model.state_dict()
    state = in_layout_of(unwrapped(read_state(path, key), expected), model)
    others = other_shapes(state.tensors, expected)
    fitting = {name: tensor for name, tensor in state.tensors.items() if name not in others}
    head = Head(model, {name: state.tensors[name] for name in others}, expected.keys() - fitting.keys(), new_head)
    # Modules may map old names: the pyramids and heads of torchvision do.
    taken = {name: tensor for name, tensor in fitting.items() if not head.holds(name)}
    missing, unexpected = model.load_state_dict(taken, strict=False)
    missing = _without_tied(missing, expected, taken.keys())
    new = [name for name in missing if head.holds(name)]
    replaced = [name for name in unexpected if head.replaces(name, taken.keys() & expected.keys())]
    absent = [f"{name} is missing in the file" for name in missing if name not in {*new, *others}]
    surplus = [f"{name} is not in the model" for name in unexpected if name not in replaced]
    wrong = [text for name, text in others.items() if not head.holds(name)]
    if strict or len(unexpected) == len(taken):  # no tensor of the file belongs to the model
        wrong += [*absent, *surplus]
    if wrong:
        raise misfit(path, model, sorted(wrong))
    _report(
        path, state.notes, [*(f"new: {name}" for name in new), *(f"omitted: {n}" for n in replaced), *absent, *surplus]
    )
    return model


def _without_tied(missing: Sequence[str], expected: Mapping[str, Tensor], loaded: Collection[str]) -> list[str]:
    """Remove second names of loaded tensors: a head that is tied to the embedding is saved once."""
    tensors = [expected[name] for name in expected.keys() & loaded]
    known = {tensor.data_ptr() for tensor in tensors if not is_lazy(tensor) and tensor.numel()}
    return [name for name in missing if is_lazy(expected[name]) or expected[name].data_ptr() not in known]


def _report(path: str | os.PathLike[str], notes: Sequence[str], differences: Sequence[str]) -> None:
    if notes or differences:
        level = logging.WARNING if differences else logging.INFO
        logger.log(level, "weights of %s:\n  %s", path, "\n  ".join([*notes, *differences]))


def other_shapes(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, str]:
    """Return a message for each tensor of a file whose shape differs from the model's, by name."""
    return {
        name: f"{name} is {tuple(weights[name].shape)} in the file and {tuple(expected[name].shape)} in the model"
        for name in sorted(expected.keys() & weights.keys())
        if not is_lazy(expected[name]) and weights[name].shape != expected[name].shape
    }


def mismatches(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Return a message for each tensor that only one side has or whose shape differs."""
    missing = [f"{name} is missing in the file" for name in sorted(expected.keys() - weights.keys())]
    surplus = [f"{name} is not in the model" for name in sorted(weights.keys() - expected.keys())]
    return [*missing, *surplus, *other_shapes(weights, expected).values()]


def misfit(path: str | os.PathLike[str], model: nn.Module, wrong: Collection[str]) -> DistillError:
    """Return the error for a file that does not fit a model, with the first mismatches."""
    more = f"\n  … and {len(wrong) - MAX_SHOWN} more" if len(wrong) > MAX_SHOWN else ""
    shown = "\n  ".join([*wrong][:MAX_SHOWN])
    return DistillError(f"{path} does not fit {type(model).__name__}:\n  {shown}{more}")
