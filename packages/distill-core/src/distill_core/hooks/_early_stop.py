"""Forwards that end early: when a forward may end after the last tapped module."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from ._record import Record

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


def runs_once(records: Collection[Record], root: nn.Module) -> bool:
    """Return whether each tapped module was called once, and no module needs the end of its forward."""
    return all(record.calls == 1 for record in records) and not any(map(_needs_its_end, root.modules()))


def is_plain(root: nn.Module, called: nn.Module) -> bool:
    """Return whether a model is called in eval mode, unwrapped and not compiled: only then can it end early."""
    return not root.training and called is root and root._compiled_call_impl is None  # noqa: SLF001 - set by `Module.compile()`


def _needs_its_end(module: nn.Module) -> bool:
    """Return whether a module is sharded (FSDP2) or offloaded (accelerate), and so restores its state after its forward."""
    return hasattr(module, "_hf_hook") or any(kind.__name__ == "FSDPModule" for kind in type(module).__mro__)
