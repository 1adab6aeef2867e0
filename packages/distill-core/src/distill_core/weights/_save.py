"""Safetensors files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..records import Fingerprint, put_in_place
from ._write import write_tensors


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write the state dict of a model to a `.safetensors` file atomically."""
    save_tensors(model.state_dict(), path)


def save_tensors(tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> Fingerprint:
    """Write tensors to a `.safetensors` file atomically; return its size and SHA-256.

    Tied tensors are written once. As in files of `safetensors.torch.save_model`, the metadata maps the other names to the
    one that is written, and `read_weights` returns all of them.
    """
    same = tied_names(tensors)
    written = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items() if name not in same}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    written_as = write_tensors(written, unfinished, same)
    put_in_place(unfinished, path)
    return written_as


def tied_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return name → earlier name for each tensor that is the same memory, with the same shape, as an earlier one.

    >>> import torch
    >>> weight = torch.zeros(2, 3)
    >>> tied_names({"embedding": weight, "head": weight.detach(), "transposed": weight.T})
    {'head': 'embedding'}
    """
    first: dict[object, str] = {}
    return {
        name: owner for name, tensor in tensors.items() if (owner := first.setdefault(memory(tensor), name)) != name
    }


def memory(tensor: Tensor) -> object:
    """Return a key that tensors have in common if they are the same elements of the same memory."""
    if tensor.layout is not torch.strided or tensor.is_meta or not tensor.numel():
        return id(tensor)
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
