"""What a forward changes besides its output: buffers, and the states of random generators."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


class Effects:
    """The buffers of a model and the states of the random generators at one time, to compare them later.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._buffers = [(module, name, buffer, buffer.detach().clone()) for module, name, buffer in _buffers(model)]
        self._is_known = not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
        self._devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
        self._random = self._random_states()

    def have_changed(self) -> bool:
        """Return whether a buffer was replaced or has another value, or a random number was drawn.

        True on the meta device, where neither can be seen.
        """
        with torch.no_grad():
            return (
                not self._is_known
                or self._random != self._random_states()
                or any(
                    module._buffers.get(name) is not buffer or _differs(buffer, copy)  # noqa: SLF001
                    for module, name, buffer, copy in self._buffers
                )
            )

    def _random_states(self) -> list[Any]:
        devices = [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self._devices)]
        return [random.getstate(), *(state.numpy().tobytes() for state in devices)]


def _buffers(model: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    return [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module._buffers.items()  # noqa: SLF001 - `named_buffers` omits second names
        if buffer is not None and not is_lazy(buffer)
    ]


def _differs(buffer: Tensor, copy: Tensor) -> bool:
    return not bool(((buffer == copy) | ((buffer != buffer) & (copy != copy))).all())
