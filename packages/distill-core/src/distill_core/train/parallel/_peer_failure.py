"""Failure of one process of several: it leaves its reason, and the others report it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import torch.distributed as dist

from ...distributed import is_distributed, rank, world_size
from ...errors import PeerError

_WAIT = 2.0  # seconds: a process that fails closes its connections and leaves its reason at about the same time
_SIGNS = ("Connection closed", "Connection reset", "Broken pipe", "imed out", "timeout", "NCCL", "Gloo", "gloo")


def report_failure(reason: str) -> None:
    """Store why this process ends, for the other processes."""
    if is_distributed():
        with contextlib.suppress(RuntimeError):  # the process that serves the store may have ended
            _store().set(_key(rank()), reason)


def lost_another(error: BaseException) -> bool:
    """Return whether an exception means that another process has ended."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def peer_error(error: BaseException) -> PeerError:
    """Return the error that reports why other processes have ended, as far as they left a reason."""
    others = [other for other in range(world_size()) if other != rank()]
    until = time.monotonic() + _WAIT
    reasons: list[str] = []
    with contextlib.suppress(RuntimeError):
        while not reasons and time.monotonic() < until:
            ended = [other for other in others if _store().check([_key(other)])]
            reasons = [f"process {other} has ended: {_store().get(_key(other)).decode()}" for other in ended]
            time.sleep(0.05)
    if reasons:
        return PeerError("\n".join(reasons))
    first = str(error).strip().splitlines()[0].split(". This is")[0]  # gloo continues with advice
    message = f"another process has ended or hangs, and left no reason (it may have been killed): {first}"
    return PeerError(message, hint="look at the output of the other processes, then resume with --resume")


def _key(process: int) -> str:
    return f"distill/ended/{process}"


def _store() -> Any:
    return dist.distributed_c10d._get_default_store()  # noqa: SLF001  it has no public name
