"""The context of a run: its accelerator, the lock of its folder, deterministic kernels, and hints for fatal errors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState

from ..distributed import is_distributed
from ..errors import TrainingError
from ..experiment import Experiment
from ._lock import FolderLock
from .checkpoints import RunCheckpoints
from .parallel import StopRequest, lost_another, peer_error, report_failure
from .progress import closed

_PRECISION = {"fp32": "no", "fp16": "fp16", "bf16": "bf16"}


def make_accelerator(experiment: Experiment) -> Accelerator:
    """Return the accelerator of a run: its device, precision and process group."""
    if AcceleratorState._shared_state:  # noqa: SLF001  an earlier run may have had another precision
        AcceleratorState._reset_state()  # noqa: SLF001
    return Accelerator(
        cpu=not torch.accelerator.is_available(),  # otherwise several processes on a CPU do not find each other
        mixed_precision=_PRECISION[experiment.precision],
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=experiment.timeout))],
    )


@contextlib.contextmanager
def hold_folder(folder: Path | None) -> Iterator[None]:
    """Hold the lock of the run's folder, if there is one.

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
def running(
    folder: Path | None, stop: StopRequest, checkpoints: RunCheckpoints, callbacks: Sequence[object]
) -> Iterator[None]:
    """Hold the run's folder, listen for a stop request, explain fatal errors, and close checkpoints and displays at the end.

    Args:
        folder: The folder of the run, if this process writes to it.
        stop: The stop request.
        checkpoints: The checkpoints of the run.
        callbacks: The callbacks of the run.
    """
    with hold_folder(folder), stop, closed(callbacks), explained(), checkpoints.finished():
        yield


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Add a hint to fatal errors of torch, and report them to the other processes.

    Raises:
        TrainingError: The device is out of memory.
        PeerError: Another process has ended.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        message = f"the device is out of memory: {str(error).splitlines()[0]}"
        hint = "reduce batch_size and increase accumulate, set precision: bf16, or use a smaller teacher"
        wrapped = TrainingError(message, hint=hint)
        report_failure(str(wrapped))
        raise wrapped from error
    except Exception as error:
        if is_distributed() and lost_another(error):
            raise peer_error(error) from error
        report_failure("\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]))
        raise


def make_deterministic() -> None:
    """Make torch use deterministic kernels."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not deterministic without it
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
