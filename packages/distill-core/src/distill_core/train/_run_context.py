"""What surrounds a run: its folder's lock, deterministic kernels, and words for what ends it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from ..distributed import is_distributed
from ..errors import PeerError, TrainingError
from ._lock import FolderLock
from .parallel import lost_another, tell_others, why_another_ended


@contextlib.contextmanager
def held(folder: Path | None) -> Iterator[None]:
    """Hold the run's folder, if there is one.

    Raises:
        TrainingError: Another process holds it.
    """
    lock = FolderLock(folder) if folder else None
    if lock:
        lock.acquire()
    try:
        yield
    finally:
        if lock:
            lock.release()


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Say what to do where torch only says what happened.

    Raises:
        TrainingError: The device's memory is used up.
        PeerError: Another process has ended.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        message = (
            f"the device is out of memory: {str(error).splitlines()[0]}\n"
            "  hint: a smaller batch_size with a larger accumulate, precision: bf16, or a smaller teacher"
        )
        tell_others(message)
        raise TrainingError(message) from error
    except Exception as error:
        if is_distributed() and lost_another(error):
            message = why_another_ended(error)
            raise PeerError(message) from error
        tell_others("\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]))
        raise


def make_deterministic() -> None:
    """Ask torch for kernels that give the same bits each time."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS promises nothing without it
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
