"""Snapshots of module buffers, and their restoration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


class Held(NamedTuple):
    """One buffer: its module, its name there, the tensor and a copy of its value; both None where there was none."""

    module: nn.Module
    name: str
    buffer: Tensor | None
    value: Tensor | None

    @property
    def present(self) -> Tensor | None:
        """The buffer that the module has under this name now; a forward pass may replace it."""
        return self.module._buffers[self.name]  # noqa: SLF001 - `named_buffers` omits None


def hold(modules: Iterable[nn.Module]) -> list[Held]:
    """Take a snapshot of the buffers of these modules, without those of submodules and lazy ones."""
    return [
        Held(module, name, buffer, None if buffer is None else buffer.clone())
        for module in modules
        for name, buffer in module._buffers.items()  # noqa: SLF001
        if buffer is None or not is_lazy(buffer)
    ]


@torch.no_grad()
def put_back(held: Iterable[Held]) -> None:
    """Restore the tensor and the value of each buffer."""
    for module, name, buffer, value in held:
        if buffer is not None and value is not None:
            buffer.copy_(value)
        module._buffers[name] = buffer  # noqa: SLF001
