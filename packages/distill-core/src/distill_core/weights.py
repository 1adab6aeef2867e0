"""Weights in files: safetensors, or torch's own format read without unpickling code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .errors import DistillError

Model = TypeVar("Model", bound=nn.Module)
MOST_SHOWN = 8


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors in a file by name.

    Args:
        path: A `.safetensors` file, or one written by `torch.save` that holds tensors only.

    Raises:
        DistillError: There is no such file, or it is not a file of weights.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        message = f"there are no weights at {path}\n  hint: run the experiment that trains them, or give another path"
        raise DistillError(message)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own text suggests loading unsafely
        message = f"{path} is not a file of weights that can be read without running code"
        raise DistillError(message) from error
    if isinstance(weights, Mapping) and isinstance(weights.get("model"), Mapping):
        weights = weights["model"]
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        message = f"{path} holds {type(weights).__name__}, not tensors by name"
        raise DistillError(message)
    return dict(weights)


def load_weights(model: Model, path: str | os.PathLike[str], *, strict: bool = True) -> Model:
    """Fill `model` with the weights in a file and return it.

    On the meta device nothing is read, so a file can be checked before its teacher has been trained.

    Args:
        strict: Refuse missing and unexpected names; a wrong shape is always refused.

    Raises:
        DistillError: There is no such file, it is damaged, or its tensors do not fit.
    """
    if torch.get_default_device().type == "meta":
        return model
    weights = read_weights(path)
    own = model.state_dict()
    wrong = other_shapes(weights, own)
    if not wrong:
        # Modules may know names that they had before: torchvision's pyramids and heads do.
        missing, unexpected = model.load_state_dict(weights, strict=False)
        wrong += [f"{name} is missing in the file" for name in missing if strict]
        wrong += [f"{name} is not in the model" for name in unexpected if strict]
    if wrong:
        raise misfit(path, model, sorted(wrong))
    return model


def other_shapes(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """What to say of each tensor of a file that has another shape in the model, by name."""
    return [
        f"{name} is {tuple(weights[name].shape)} in the file and {tuple(own[name].shape)} in the model"
        for name in sorted(own.keys() & weights.keys())
        if weights[name].shape != own[name].shape
    ]


def misfit(path: str | os.PathLike[str], model: nn.Module, wrong: Sequence[str]) -> DistillError:
    """The error for a file that does not fit, with the first of what is wrong."""
    more = f"\n  … and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
    return DistillError(f"{path} does not fit {type(model).__name__}:\n  " + "\n  ".join(wrong[:MOST_SHOWN]) + more)


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write the model's state to a `.safetensors` file that appears whole or not at all."""
    save_tensors(model.state_dict(), path)


def save_tensors(tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write tensors to a `.safetensors` file that appears whole or not at all."""
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    write_tensors(tensors, unfinished)
    os.replace(unfinished, path)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a `.safetensors` file that whoever may read new files may read; the library's own are for their owner alone."""
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path)
    path.chmod(mode)
