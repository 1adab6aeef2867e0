"""Stopping on request: SIGTERM saves at the next step of all processes and ends; a second one ends at once."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from ...distributed import is_distributed

_GRACE = 2  # steps: gradients are averaged in each, so no process is further ahead of another
_numbers = itertools.count()


class StopRequest:
    """Watches for SIGTERM inside a `with` block; only in the main thread, as Python allows nothing else."""

    def __init__(self) -> None:
        self._signalled = False
        self._before: Any = None
        self._store: Any = None
        self._key = f"distill/stop_at/{next(_numbers)}"  # every process counts its runs alike
        self._step_before: torch.cuda.Event | None = None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._on_signal)
        if is_distributed():
            self._store = dist.distributed_c10d._get_default_store()  # noqa: SLF001  it has no public name
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def is_due(self, step: int) -> bool:
        """Return whether all processes stop after this step; the same on every process."""
        if self._store is None:
            return self._signalled
        self._wait_for_the_step_before()
        if self._signalled:
            self._store.compare_set(self._key, "", str(step + _GRACE))
        if not self._store.check([self._key]):
            return False
        return step >= int(self._store.get(self._key))

    def _wait_for_the_step_before(self) -> None:
        """Keep the host at most one step ahead of its GPU: otherwise hosts could be many steps apart."""
        if not torch.cuda.is_available():
            return
        if self._step_before is not None:
            self._step_before.synchronize()
        self._step_before = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._step_before.record()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True
