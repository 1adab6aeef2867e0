"""From gradients to new weights: unscale, clip, refuse what is not finite, step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...distributed import is_dtensor
from ...optim import SplitOptimizer
from ..parallel import clip_sharded, load_unsharded_optimizer
from ._finite_guard import FiniteGuard


class Update:
    """One optimizer step. `norm` is that of all gradients in the last one before they were clipped, if it is measured.

    Args:
        optimizer: The stage's optimizer.
        parameters: The parameters that it updates.
        clip_grad_norm: The greatest norm of all gradients together, if any; infinity measures it only.
        scaler: The loss scaler of fp16; it skips steps that overflow while it adjusts its scale.
        guard: Withholds every other update that is not finite.
    """

    def __init__(
        self,
        optimizer: Any,
        parameters: Iterable[nn.Parameter],
        clip_grad_norm: float | None,
        scaler: torch.amp.GradScaler | None,
        guard: FiniteGuard,
    ) -> None:
        self.optimizer = optimizer
        self.parameters = list(parameters)
        self.clip_grad_norm = clip_grad_norm
        self.scaler = scaler
        self.guard = guard
        self.norm: Tensor | None = None
        self.separate = optimizer.separate_gradients if isinstance(optimizer, SplitOptimizer) else {}

    def step(self, batch: int) -> None:
        """Update the weights and clear the gradients.

        Args:
            batch: Index of the batch in the epoch.
        """
        if self.clip_grad_norm is not None:
            if self.scaler:
                self.scaler.unscale_(self.optimizer)
            if any(is_dtensor(parameter) for parameter in self.parameters):
                self.norm = clip_sharded(self.parameters, self.clip_grad_norm)
            elif self.separate:
                self.norm = clip_sum(self.parameters, self.separate, self.clip_grad_norm)
            else:
                self.norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_grad_norm)
        if self.scaler:
            self.guard.step_scaled(self.scaler, batch)
        else:
            self.guard.step(self.parameters, batch, self.separate.values())
        for parameter in self.parameters:  # not `zero_grad`, which also tells the profiler
            parameter.grad = None
        self.separate.clear()

    def bad_batches(self) -> list[int]:
        """Return the batches since the last call whose update was withheld."""
        return self.guard.bad_batches()

    def has_bad(self) -> bool:
        """Return whether such batches exist; the same on every process."""
        return self.guard.has_bad()

    def keep_buffers(self) -> None:
        """Copy the buffers; a withheld update restores the copies."""
        self.guard.buffers.keep()

    def state(self) -> dict[str, Any]:
        """Return the state of the optimizer; that of a sharded parameter is sharded."""
        state: dict[str, Any] = self.optimizer.state_dict()
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        load_unsharded_optimizer(self.optimizer, state)


def clip_sum(parameters: Iterable[nn.Parameter], separate: Mapping[Tensor, Tensor], most: float) -> Tensor:
    """Scale both gradients so that the norm of their sum is at most `most`; return that norm before."""
    gradients = {parameter: parameter.grad for parameter in parameters if parameter.grad is not None}
    both = [parameter for parameter in gradients if parameter in separate]
    sums = [gradients[parameter] + separate[parameter] for parameter in both]
    sums += [gradient for parameter, gradient in gradients.items() if parameter not in separate]
    sums += [gradient for parameter, gradient in separate.items() if parameter not in gradients]
    norm = nn.utils.get_total_norm(sums)
    torch._foreach_mul_([*gradients.values(), *separate.values()], (most / (norm + 1e-6)).clamp(max=1))
    return norm
