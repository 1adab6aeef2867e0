"""Safetensors files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from ..records import put_in_place


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write the state dict of a model to a `.safetensors` file atomically."""
    save_tensors(model.state_dict(), path)


def save_tensors(tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write tensors to a `.safetensors` file atomically."""
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    write_tensors(tensors, unfinished)
    put_in_place(unfinished, path)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a `.safetensors` file with default permissions; the library makes it readable by its owner alone."""
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path)
    path.chmod(mode)
