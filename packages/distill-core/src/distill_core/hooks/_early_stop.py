"""Forwards that end early: when a forward may end after the last tapped module."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import torch
from torch import nn

from ._effects import Effects
from ._pytree import shape_of_call
from ._record import Record

Wanted = bool | Literal["always"]
"""Whether forwards end early; see `EarlyStop`."""

_MAX_CALLS = 10_000
"""Number of kinds of calls that are remembered; later kinds run to the end of the model."""


class Stop(BaseException):
    """End the forward once every tapped value is recorded.

    A `BaseException`, so that a model's own `except Exception` does not catch it.

    Attributes:
        owner: The capture that ends the forward.
    """

    def __init__(self, owner: object) -> None:
        self.owner = owner


class StoppableCalls:
    """The kinds of calls that may end early, learned from complete forwards.

    A kind is what calls have in common that are expected to run alike: the shapes of their tensors.
    """

    def __init__(self) -> None:
        self._kinds: set[Any] = set()

    def __contains__(self, kind: Any) -> bool:
        return kind in self._kinds

    def learn(self, kind: Any, *, may_stop: bool) -> None:
        """Remember after a complete forward whether the next one of this kind may end early."""
        if may_stop and len(self._kinds) < _MAX_CALLS:
            self._kinds.add(kind)
        else:
            self._kinds.discard(kind)


class EarlyStop:
    """Decides where the forwards of a model end.

    Args:
        root: The model without wrappers.
        records: The records of its taps.
        wanted: End forwards early; with `always` whatever the shapes of the inputs, and in training also where modules that
            do not run would update buffers or draw random numbers.

    Attributes:
        wanted: See above.
        last_module: The module after which forwards end; empty for the end of the model, None before the first one.
        is_possible: Whether no value is complete only at the end of a forward.
        is_ending: Whether the current forward ends when all values are recorded.
    """

    def __init__(self, root: nn.Module, records: Collection[Record], wanted: Wanted) -> None:
        self.wanted = wanted
        self.last_module: str | None = None
        self.is_ending = False
        self._root, self._records = root, records
        # The output of the model, and a list of the values of several calls, are complete only at the end.
        is_output = any(not (record.tap.path or record.is_input) for record in records)
        self.is_possible = not is_output and not any(record.is_list for record in records)
        self._kinds = StoppableCalls()
        self._is_checked = False  # `always`: each tapped module is called once
        self._is_useless = False  # in training, what is behind the last value has effects
        self._last: Record | None = None
        self._effects: Effects | None = None
        self._waiting, self._observes = 0, False

    @property
    def may_end(self) -> bool:
        """Whether a forward in the current mode might end early."""
        return self.is_possible and bool(self.wanted) and not (self._root.training and self._is_useless)

    @property
    def ignores_effects(self) -> bool:
        """Whether a forward in training mode ends early whatever the modules behind would change."""
        return self._is_checked and self.wanted == "always" and self.is_possible

    def may_cut(self, called: nn.Module) -> bool:
        """Return whether modules behind the last value of an `nn.Sequential` need not be called."""
        return self.may_end and self._is_plain(called) and (not self._root.training or self.ignores_effects)

    def kind_of_call(self, called: nn.Module, args: Any, kwargs: Any) -> Any:
        """Return what calls have in common that are expected to run alike; None if a forward cannot end early."""
        if not (self.may_end and self._is_plain(called)):
            return None
        mode = self._root.training
        if self.ignores_effects or (self.wanted == "always" and not mode):
            return mode
        return None if torch.compiler.is_dynamo_compiling() else (mode, shape_of_call((args, kwargs)))

    def begin(self, kind: Any = None) -> None:
        """Begin a forward of this kind."""
        self.is_ending = kind is not None and ((self._root.training and self.ignores_effects) or kind in self._kinds)
        self._last, self._effects, self._waiting = None, None, len(self._records)
        self._observes = kind is not None and self._root.training and not self.is_ending

    def check(self) -> bool:
        """Return whether each tapped module was called once in a complete forward, as `always` needs it."""
        self._is_checked = self.is_possible and self._runs_once()
        if self._is_checked and self._last:
            self.last_module = self._last.tap.path
        return self._is_checked or not self.is_possible

    def note(self, record: Record) -> bool:
        """Note that a record gets a value; return whether the forward ends with it."""
        self._last = record
        if record.calls:  # unlike the forward that was learned from, so this one runs to its end
            self.is_ending = False
        self._waiting -= 1
        if self._observes:
            self._effects = Effects(self._root)
        return self.is_ending and self._waiting == 0

    def end_so_far(self, called: nn.Module) -> str:
        """Return the module after which such a forward ends if the tapped modules are not called again."""
        is_known = not self._root.training or self.wanted == "always"
        if self._last is None or not (is_known and self.may_end and self._is_plain(called) and self._runs_once()):
            return ""
        return self._last.tap.path

    def learn(self, kind: Any) -> None:
        """Learn from a complete forward whether the next one of this kind may end after the module called last."""
        may_end = ends = kind is not None and self._runs_once()
        if may_end and self._effects is not None and self._effects.have_changed():
            may_end, ends = False, self.wanted == "always"
            self._is_useless = not ends
        self._effects = None
        self.last_module = self._last.tap.path if ends and self._last else ""
        self._kinds.learn(kind, may_stop=may_end)

    def _is_plain(self, called: nn.Module) -> bool:
        """Return whether the model is called unwrapped and not compiled: only then can a forward end early."""
        return called is self._root and self._root._compiled_call_impl is None  # noqa: SLF001 - set by `Module.compile()`

    def _runs_once(self) -> bool:
        """Return whether each tapped module was called once, and no module needs the end of its forward."""
        return all(record.calls == 1 for record in self._records) and not any(map(_needs_its_end, self._root.modules()))


def _needs_its_end(module: nn.Module) -> bool:
    """Return whether a module is sharded (FSDP2) or offloaded (accelerate), and so restores its state after its forward."""
    return hasattr(module, "_hf_hook") or any(kind.__name__ == "FSDPModule" for kind in type(module).__mro__)
