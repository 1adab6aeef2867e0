"""When one process of several ends, the others say why."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import torch.distributed as dist

from ...distributed import is_distributed, rank, world_size

_WAIT = 2.0  # seconds: a process that fails closes its connections and leaves its reason at about the same time
_SIGNS = ("Connection closed", "Connection reset", "Broken pipe", "imed out", "timeout", "NCCL", "Gloo", "gloo")


def tell_others(reason: str) -> None:
    """Leave the reason for this process's end where the others find it."""
    if is_distributed():
        with contextlib.suppress(RuntimeError):  # the process that kept it may be the one that is gone
            _store().set(_key(rank()), reason)


def lost_another(error: BaseException) -> bool:
    """Whether this is how the end of another process looks from here."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def why_another_ended(error: BaseException) -> str:
    """The reasons that others left, or that they left none."""
    others = [number for number in range(world_size()) if number != rank()]
    until = time.monotonic() + _WAIT
    reasons: list[str] = []
    with contextlib.suppress(RuntimeError):
        while not reasons and time.monotonic() < until:
            left = [number for number in others if _store().check([_key(number)])]
            reasons = [f"process {number} has ended: {_store().get(_key(number)).decode()}" for number in left]
            time.sleep(0.05)
    if reasons:
        return "\n".join(reasons)
    first = str(error).strip().splitlines()[0].split(". This is")[0]  # gloo goes on with advice
    return (
        f"another process has ended or hangs, and left no reason (it may have been killed): {first}\n"
        "  hint: look at what the other processes wrote, then go on with --resume"
    )


def _key(number: int) -> str:
    return f"distill/ended/{number}"


def _store() -> Any:
    return dist.distributed_c10d._get_default_store()  # noqa: SLF001  there is no public name for it
