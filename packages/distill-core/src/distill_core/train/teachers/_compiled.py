"""Compilation with `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...errors import TrainingError, did_you_mean


def compiled(module: nn.Module | Callable[..., Any], how: bool | str, key: str = "compile") -> Any:
    """Return the module, compiled as an experiment's `compile` sets.

    Args:
        module: The distiller, or what runs a frozen model, with its hooks: later ones are not compiled.
        how: Whether to compile; a string names the backend, `inductor` by default.
        key: Key of the setting, for the message.

    Raises:
        TrainingError: The backend does not exist.
    """
    if not how:
        return module
    backend = "inductor" if how is True else how
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        message = f"there is no backend '{backend}'"
        raise TrainingError(message, key=key, hint=did_you_mean(backend, known))
    return torch.compile(module, backend=backend)
