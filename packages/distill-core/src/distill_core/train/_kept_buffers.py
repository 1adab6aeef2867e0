"""Copies of the buffers that a forward pass changes, restored if its update is withheld."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

_CHECKED = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class _Group(NamedTuple):
    """Buffers of one dtype and device: indices, kept values and, where the host does not know the flag, new values."""

    indices: list[int]
    kept: Tensor
    kept_parts: list[Tensor]
    new: Tensor | None
    new_parts: list[Tensor]


class KeptBuffers:
    """Make the buffers of training modules part of the step: running statistics, memory banks, counters.

    The device decides whether to put them back, so the host does not wait. It waits only in a step in which a module
    replaces a buffer with one of another shape, or where the buffers are on another device than the flag.

    Args:
        module: Contains everything that learns, the losses included.

    Attributes:
        num_floating: The number of kept buffers that `check` may find not finite; the same on every process.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._places: list[tuple[nn.Module, str]] = []
        self._values: list[Tensor | None] = []
        self._groups: list[_Group] = []
        self._finite: list[bool] = []
        self.num_floating = 0

    @torch.no_grad()
    def keep(self) -> None:
        """Copy every buffer of a module in train mode; to be called when modes or buffers change between steps."""
        self._places = [
            (part, name)
            for part in self._module.modules()
            if part.training
            for name in part._buffers  # noqa: SLF001
        ]
        self._values = self._now()
        indices: dict[tuple[torch.dtype, torch.device], list[int]] = {}
        for index, value in enumerate(self._values):
            if value is not None and _is_writable(value):
                indices.setdefault((value.dtype, value.device), []).append(index)
        self._groups = [self._group(numbers) for numbers in indices.values()]
        floats = [(i, value) for i, value in enumerate(self._values) if value is not None and value.dtype in _CHECKED]
        self.num_floating = len(floats)
        finite = torch.stack([value.isfinite().all().cpu() for _, value in floats]).tolist() if floats else []
        self._finite = [False] * len(self._values)
        for (index, _), flag in zip(floats, finite, strict=True):
            self._finite[index] = flag

    def __bool__(self) -> bool:
        return bool(self._places)

    def check(self, found: Tensor, one: Tensor) -> None:
        """Set `found` to 1 if a buffer that was finite is not finite any more.

        Args:
            found: The flag, on the device.
            one: A 1 beside it.
        """
        if not any(self._finite):
            return
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for value, finite in zip(self._now(), self._finite, strict=True):
            if finite and value is not None and value.device == found.device and value.dtype in _CHECKED:
                by_dtype.setdefault(value.dtype, []).append(value)
        with torch.no_grad():
            for values in by_dtype.values():
                torch._amp_foreach_non_finite_check_and_unscale_(values, found, one)

    def settle(self, withheld: Tensor) -> None:
        """Put the buffers back if the step was withheld, otherwise keep what they are now.

        Args:
            withheld: The flag of the step, 0 or 1.
        """
        values = self._now()
        is_replaced = any(map(operator.is_not, values, self._values))
        if is_replaced and [_kind(value) for value in values] != [_kind(value) for value in self._values]:
            self._settle_replaced(withheld)
            return
        self._values = values
        if self._groups:
            self._keep_or_restore(withheld)

    @torch.no_grad()
    def _keep_or_restore(self, withheld: Tensor) -> None:
        for group in self._groups:
            buffers = [value for index in group.indices if (value := self._values[index]) is not None]
            if group.new is None:
                sources = (buffers, group.kept_parts) if withheld else (group.kept_parts, buffers)
                torch._foreach_copy_(*sources)
                continue
            torch._foreach_copy_(group.new_parts, buffers)
            torch.where(withheld.bool(), group.kept, group.new, out=group.kept)
            torch._foreach_copy_(buffers, group.kept_parts)

    @torch.no_grad()
    def _settle_replaced(self, withheld: Tensor) -> None:
        if withheld:
            for (part, name), old in zip(self._places, self._values, strict=True):
                part._buffers[name] = old  # noqa: SLF001
            for group in self._groups:
                buffers = [value for index in group.indices if (value := self._values[index]) is not None]
                torch._foreach_copy_(buffers, group.kept_parts)
        else:
            self.keep()

    def _now(self) -> list[Tensor | None]:
        return [part._buffers[name] for part, name in self._places]  # noqa: SLF001

    def _group(self, indices: list[int]) -> _Group:
        values = [value for index in indices if (value := self._values[index]) is not None]
        kept = torch.cat([value.detach().reshape(-1) for value in values])
        if _host_knows(kept.device):
            return _Group(indices, kept, _parts(kept, values), None, [])
        new = torch.empty_like(kept)
        return _Group(indices, kept, _parts(kept, values), new, _parts(new, values))


def _is_writable(value: Tensor) -> bool:
    """Return whether each element has separate memory: an expanded tensor cannot be written, so it does not change."""
    return value.layout == torch.strided and 0 not in value.stride()


def _host_knows(device: torch.device) -> bool:
    return device.type == "cpu"


def _parts(flat: Tensor, values: Sequence[Tensor]) -> list[Tensor]:
    """`flat` cut into the shapes of `values`."""
    parts = torch.split(flat, [value.numel() for value in values])
    return [part.view(value.shape) for part, value in zip(parts, values, strict=True)]


def _kind(value: Tensor | None) -> tuple[torch.Size, torch.dtype, torch.device] | None:
    return None if value is None else (value.shape, value.dtype, value.device)
