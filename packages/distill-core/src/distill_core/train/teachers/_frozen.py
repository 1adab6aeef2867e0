"""Verification that frozen models have not changed during a stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ...errors import TrainingError
from .._held_buffers import hold, put_back
from ..parallel import each_process, local, of_this_process, reshard


class FrozenModels:
    """Records frozen models at the start of a stage, and verifies at its end that none has changed.

    A model in training mode updates its running statistics; they are restored.

    Args:
        models: Frozen models by name.
        learning: Ids of tensors that learn although a frozen model shares them.
        training: The names of those that run in training mode.
    """

    def __init__(self, models: Mapping[str, nn.Module], learning: Collection[int], training: Collection[str]) -> None:
        self._models, self._learning = dict(models), set(learning)
        self._buffers = hold(part for name in training if name in models for part in models[name].modules())
        self._before = {name: self._sums(model) for name, model in self._models.items()}

    def restore(self) -> None:
        """Restore the running statistics."""
        put_back(self._buffers)

    def state(self) -> list[list[Tensor]]:
        """Return the running statistics of each process. A collective operation."""
        return [each_process(buffer) for held in self._buffers if (buffer := held.present) is not None]

    @torch.no_grad()
    def load_state(self, state: Sequence[Sequence[Tensor]]) -> None:
        """Restore what `state` returned."""
        present = [buffer for held in self._buffers if (buffer := held.present) is not None]
        for buffer, values in zip(present, state, strict=False):
            buffer.copy_(of_this_process(values))

    def verify(self) -> None:
        """Verify that no frozen model has changed.

        Raises:
            TrainingError: A frozen model has changed.
        """
        self.restore()
        for name, model in self._models.items():
            after = self._sums(model)
            before = self._before[name]  # without what was lazy then
            changed = [key for key, value in after.items() if key in before and not torch.equal(value, before[key])]
            if changed:
                message = f"'{name}' is frozen, and yet these tensors have changed: {', '.join(changed[:6])}"
                raise TrainingError(message)

    def _sums(self, model: nn.Module) -> dict[str, Tensor]:
        reshard(model)
        named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        return {
            name: _sum_of_bits(local(tensor))
            for name, tensor in named.items()
            if id(tensor) not in self._learning and not is_lazy(tensor)
        }


def _sum_of_bits(tensor: Tensor) -> Tensor:
    """Return a checksum that one changed element changes, computed on the tensor's device."""
    if tensor.is_meta or tensor.dtype == torch.bool or tensor.is_complex():
        return torch.zeros(())
    kind = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return tensor.detach().contiguous().view(-1).view(kind).sum(dtype=torch.int64)
