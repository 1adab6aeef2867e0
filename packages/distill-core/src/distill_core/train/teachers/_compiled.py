"""The step compiled: students, frozen teachers and losses as one graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...errors import TrainingError, did_you_mean


def compiled(module: nn.Module | Callable[..., Any], how: bool | str, key: str = "compile") -> Any:
    """What is compiled as an experiment's `compile` says.

    Args:
        module: The distiller, or what runs a frozen model, the hooks in place: those that come later are not compiled.
        how: Whether to compile; a text names the backend, `inductor` if it is only true.
        key: What is called `compile`, for the message.

    Raises:
        TrainingError: There is no such backend.
    """
    if not how:
        return module
    backend = "inductor" if how is True else how
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        message = f"{key}: there is no backend '{backend}'"
        raise TrainingError(message, hint=did_you_mean(backend, known))
    return torch.compile(module, backend=backend)
