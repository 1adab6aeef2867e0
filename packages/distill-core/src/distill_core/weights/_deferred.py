"""Models on the meta device whose weights are read when a run starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

ATTRIBUTE = "deferred_weights"


def deferred(build: Callable[[], nn.Module], weights: str | os.PathLike[str]) -> nn.Module:
    """Return a model on the meta device. When a run starts, each process reads the weights that it holds.

    A process that shards the model reads its shards only, so no process ever holds the complete model. The names and
    shapes in the files must be those of the model's state dict. EMA copies start from the same files.

    Args:
        build: Builds the model, without arguments: a `functools.partial`, in YAML `!import_partial:`.
        weights: A `.safetensors` file, an index of shards (`….index.json`), or a folder that holds one of these under
            transformers' name.

    >>> deferred(lambda: nn.Linear(2, 3), "model.safetensors").weight.device
    device(type='meta')
    """
    with torch.device("meta"):
        model = build()
    place: Any = Path(weights).expanduser()
    setattr(model, ATTRIBUTE, place)
    return model


def deferred_weights(model: nn.Module) -> Path | None:
    """Return where the weights of a model on the meta device are; None for any other model."""
    place: Path | None = vars(model).get(ATTRIBUTE)
    return place
