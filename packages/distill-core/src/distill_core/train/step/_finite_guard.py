"""Numbers that are not finite: found on the device, kept out of weights and buffers, reported at the next log line."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...distributed import is_dtensor, world_size
from .._kept_buffers import KeptBuffers
from ..parallel import local

_gradient, _dtype = attrgetter("grad"), attrgetter("dtype")


class FiniteGuard:
    """Withholds every update with a gradient, or a buffer after the forward pass, that is not finite.

    The buffers are part of the update: a withheld one restores them.

    A fused optimizer takes the flag on the device and leaves the weights as they are, so the host need not wait; for any
    other optimizer the host asks in each step.

    Args:
        optimizer: The stage's optimizer.
        device: Where its tensors are.
        buffers: The buffers of everything that learns.
        sticky: Whether one bad step withholds all later ones until the host reads the flags.
    """

    def __init__(self, optimizer: Any, device: torch.device, buffers: KeptBuffers, *, sticky: bool) -> None:
        self._optimizer = optimizer
        self.buffers = buffers
        self._sticky = sticky
        self._found = torch.zeros((), dtype=torch.float32, device=device)  # the kernel takes no other dtype
        self._one = torch.ones((), dtype=torch.float32, device=device)
        self._flags: list[tuple[int, Tensor]] = []
        groups = optimizer.param_groups
        self._has_peers = world_size() > 1
        self._sharded = any(is_dtensor(parameter) for group in groups for parameter in group["params"])
        self.takes_flag = not self._sharded and all(group.get("fused") for group in groups)

    def step(self, parameters: Iterable[nn.Parameter], batch: int, others: Iterable[Tensor] = ()) -> None:
        """Step the optimizer if every gradient is finite.

        Args:
            parameters: The parameters that the optimizer updates.
            batch: Index of the batch in the epoch, for the report.
            others: Gradients that the optimizer has besides.
        """
        gradients = [gradient for gradient in map(_gradient, parameters) if gradient is not None]
        if self._sharded:
            gradients = [local(gradient) for gradient in gradients]
        gradients.extend(others)
        dtypes = set(map(_dtype, gradients))  # in almost all runs one
        for dtype in dtypes:
            group = gradients if len(dtypes) == 1 else [tensor for tensor in gradients if tensor.dtype == dtype]
            torch._amp_foreach_non_finite_check_and_unscale_(group, self._found, self._one)
        self._agree(batch)
        if self.takes_flag:
            self._optimizer.grad_scale, self._optimizer.found_inf = None, self._found
            self._optimizer.step()
        elif not self._found:
            self._optimizer.step()
        self._settle()

    def step_scaled(self, scaler: torch.amp.GradScaler, batch: int) -> None:
        """Let a loss scaler step, which withholds overflowing gradients itself; check the buffers only.

        Args:
            scaler: The loss scaler.
            batch: Index of the batch in the epoch, for the report.
        """
        if self.buffers:
            self._agree(batch)
        scaler.step(self._optimizer)
        scaler.update()
        if self.buffers:
            self._settle()

    def _agree(self, batch: int) -> None:
        """Check the buffers, and decide the same on every process."""
        is_shared = self._sharded
        if self.buffers.num_floating:
            self.buffers.check(self._found, self._one)
            is_shared = is_shared or self._has_peers
        if is_shared:  # each process sees its own part and its own samples
            dist.all_reduce(self._found, dist.ReduceOp.MAX)
        self._flags.append((batch, self._found.clone()))

    def _settle(self) -> None:
        if self.buffers:
            self.buffers.settle(self._found)
        if not self._sticky:
            self._found.zero_()

    def has_bad(self) -> bool:
        """Return whether an update was withheld since `bad_batches` was called."""
        return bool(self._flags) and bool(torch.stack([flag for _, flag in self._flags]).any())

    def bad_batches(self) -> list[int]:
        """Return the batches since the last call whose update was withheld, from the first bad one on."""
        if not self._flags:
            return []
        flags = torch.stack([flag for _, flag in self._flags]).tolist()
        bad = [batch for (batch, _), flag in zip(self._flags, flags, strict=True) if flag]
        self._flags = []
        return bad
