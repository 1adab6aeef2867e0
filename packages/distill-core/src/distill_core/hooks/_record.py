"""The values that one address records in a forward, correct even if the model overwrites its own tensors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import WiringError, did_you_mean
from ..taps import Tap, take
from ..tree import map_tensors, tensors


@dataclass(slots=True)
class Kept:
    """The value of one call, a copy of it, or both until it is known which one is needed.

    Attributes:
        value: The value itself.
        copy: A copy from the time of the call.
        watched: The tensors of the value, if they may still be overwritten.
        versions: Their version counters at the time of the call.
    """

    value: Any
    copy: Any
    watched: Sequence[Tensor]
    versions: tuple[int, ...]

    def is_overwritten(self) -> bool:
        """Return whether an in-place operation has changed the value since."""
        return _versions(self.watched) != self.versions


_NOTHING = object()


class Record:
    """One address: its module, the input or output that it selects, and the values of the current forward.

    A tensor that is overwritten later in the forward must be copied; others are not copied. The first forward in training
    mode and the first in eval mode keep both the tensor and a copy, and its version counter shows which one is needed.
    Later forwards keep one, and the counter is still compared.

    Args:
        tap: The address.
        module: The module.
        index: Its index among the addresses of the `Capture`.

    Raises:
        WiringError: If the module's `forward` has no input of that name.
    """

    def __init__(self, tap: Tap, module: nn.Module, index: int) -> None:
        self.tap, self.module, self.index = tap, module, index
        self.is_input = tap.port in ("in", "ins")
        self.is_list = tap.port in ("outs", "ins")
        self.fields = tap.fields[1:] if self.is_input else tap.fields
        self.position, self.keyword = self._find_input() if self.is_input else (None, None)
        self.kept: list[Kept] = []
        self.calls = 0
        self.needs_copy = False
        self._safe_modes: set[bool] = set()

    def input_of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the input that the address selects, whether it was passed by position or by name.

        Raises:
            WiringError: If the module was called without it.
        """
        if self.keyword is not None and self.keyword in kwargs:
            return kwargs[self.keyword]
        if self.position is not None and -len(args) <= self.position < len(args):
            return args[self.position]
        wanted = f"the input {self.tap.fields[0]!r}" if self.tap.fields else "an input"
        message = f"{str(self.tap)!r}: {type(self.module).__name__} was called without {wanted}"
        names = ", ".join(repr(name) for name in kwargs) or "none"
        raise WiringError(message, hint=f"inputs by position: {len(args)}; by name: {names}")

    def keep_copy(self, value: Any) -> None:
        """Record a copy of a call's value."""
        self._add(Kept(_NOTHING, map_tensors(self._select(value), torch.clone), (), ()))

    def keep(self, value: Any, mode: bool, is_last: bool) -> None:
        """Record a call's value, with a copy if it may be overwritten.

        Args:
            value: The output, or the input, of the module.
            mode: Whether the model is in training mode.
            is_last: Whether the forward ends here, so that nothing can overwrite the value.
        """
        self.calls += 1
        value = self._select(value)
        if isinstance(value, Tensor):
            watched: Sequence[Tensor] = (value,)
        else:
            watched = tensors(value)
            value = map_tensors(value, lambda tensor: tensor)
        if is_last:
            self._add(Kept(value, _NOTHING, (), ()))
        elif self.needs_copy or any(tensor.is_inference() for tensor in watched):  # they have no version counter
            self._add(Kept(_NOTHING, map_tensors(value, torch.clone), (), ()))
        else:
            copy = _NOTHING if mode in self._safe_modes else map_tensors(value, torch.clone)
            self._add(Kept(value, copy, watched, _versions(watched)))

    def keep_tensor(self, tensor: Tensor, version: int) -> None:
        """Record the tensor of a simple record, whose version counter was `version` at the time of the call."""
        self.kept = [Kept(tensor, _NOTHING, (tensor,), (version,))]

    def is_simple(self, mode: bool) -> bool:
        """Return whether the value has been a single tensor that is not overwritten; its version suffices."""
        return mode in self._safe_modes and not (self.needs_copy or self.is_list or self.fields)

    def values(self) -> list[Any]:
        """Return the values as they were at the time of each call.

        Raises:
            WiringError: If a value was overwritten that was not overwritten before. It is copied from the next forward on.
        """
        return [self._choose(kept) for kept in self.kept]

    def learn(self, mode: bool) -> None:
        """Remember at the end of a forward whether the values need a copy in this mode."""
        if any(kept.is_overwritten() for kept in self.kept):
            self.needs_copy = True
        elif any(kept.watched for kept in self.kept):
            self._safe_modes.add(mode)

    def not_called(self, owner: str) -> WiringError:
        """Return the error for a module of `owner` that was not called."""
        subject = f"module {self.tap.path!r} of {owner}" if self.tap.path else owner
        hint = "hooks see calls of the module, not of its 'forward' or weights; attach them before 'torch.compile'"
        return WiringError(f"{str(self.tap)!r}: {subject} was not called", hint=hint)

    def forget(self) -> None:
        """Release all tensors."""
        self.kept, self.calls = [], 0

    def _select(self, value: Any) -> Any:
        return take(value, self.fields, repr(str(self.tap))) if self.fields else value

    def _add(self, kept: Kept) -> None:
        if not self.is_list:
            self.kept.clear()
        self.kept.append(kept)

    def _choose(self, kept: Kept) -> Any:
        if kept.value is _NOTHING:
            return kept.copy
        if not kept.is_overwritten():
            return kept.value
        if kept.copy is _NOTHING:
            message = f"{str(self.tap)!r}: the model overwrote this value in place, which it did not do before"
            raise WiringError(message, hint="set 'inplace=False' in the layer that comes after it")
        return kept.copy

    def _find_input(self) -> tuple[int | None, str | None]:
        field = self.tap.fields[0] if self.tap.fields else 0
        try:
            parameters = inspect.signature(self.module.forward).parameters
        except (TypeError, ValueError):  # compiled by TorchScript: use the field as it is
            return (field, None) if isinstance(field, int) else (None, field)
        names = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if isinstance(field, int):
            return field, names[field] if 0 <= field < len(names) else None
        if field not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            message = f"{str(self.tap)!r}: {type(self.module).__name__}.forward has no parameter {field!r}"
            raise WiringError(message, hint=did_you_mean(field, parameters))
        return names.index(field) if field in names else None, field


def _versions(watched: Sequence[Tensor]) -> tuple[int, ...]:
    return tuple([tensor._version for tensor in watched])  # noqa: SLF001 - autograd's own counter of in-place writes
