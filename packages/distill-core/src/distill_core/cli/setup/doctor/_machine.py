"""Diagnostics of devices, precisions, distributed backends and compilers."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._finding import Finding, note, ok, problem
from ._precision import precisions

LITTLE = 2e9


def machine() -> Iterator[Finding]:
    """Yield the findings that need torch; none if torch cannot be imported, which `versions` reports."""
    try:
        import torch
    except Exception:  # noqa: BLE001 — as above
        return
    yield from cpu(torch.get_num_threads(), cores(), os.environ.get("OMP_NUM_THREADS", ""))
    yield from gpus(torch)
    yield from precisions(torch)
    yield from backends(torch)
    yield from compiling(torch)


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the number of cores that this process may use, within the limit of its container.

    Args:
        quota: File with the CPU quota and period of the container, in microseconds.
    """
    allowed = len(getattr(os, "sched_getaffinity", lambda _: ())(0)) or os.cpu_count() or 1
    try:
        time, period = map(int, quota.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # not Linux, or no limit: `max 100000`
        return allowed
    return max(1, min(allowed, round(time / period)))


def cpu(threads: int, cores: int, setting: str) -> Iterator[Finding]:
    """Compare threads with cores, and report the memory."""
    message = f"{cores} core{'s' * (cores > 1)}, torch uses {threads} thread{'s' * (threads > 1)}; OMP_NUM_THREADS is {setting or 'not set'}"
    if threads > cores:
        yield note("cpu", message, f"more threads than cores slow each other down: export OMP_NUM_THREADS={cores}")
    else:
        yield ok("cpu", message)
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys():
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        message = f"{size / 1e9:.1f} GB"
        hint = "use small batches and few workers"
        yield ok("memory", message) if size >= LITTLE else note("memory", message, hint)


def gpus(torch: Any) -> Iterator[Finding]:
    """Report GPUs with their memory; a GPU driver that torch cannot use is a problem."""
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name, (major, minor) = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
            memory = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
            yield ok(f"cuda:{index}", f"{name}, {memory}, compute capability {major}.{minor}")
    elif torch.backends.mps.is_available():
        yield ok("mps", "Apple GPU; the trainer uses it by default")
    elif Path("/proc/driver/nvidia/version").exists():
        built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
        hint = (
            "see `nvidia-smi` for the supported CUDA version; install a matching torch: https://pytorch.org/get-started"
        )
        yield problem("cuda", f"an NVIDIA driver is installed, but torch finds no GPU: torch {built}", hint)
    else:
        yield note("gpu", "torch finds none: training runs on the CPU")


def backends(torch: Any) -> Iterator[Finding]:
    """Report the communication backends of torch.distributed."""
    if not torch.distributed.is_available():
        yield note("distributed", "torch is built without it: one process only")
        return
    names = [name for name in ("nccl", "gloo", "mpi") if getattr(torch.distributed, f"is_{name}_available")()]
    message = ", ".join(names) or "none"
    if torch.cuda.device_count() > 1 and "nccl" not in names:
        yield note("distributed", message, "several GPUs are slow without NCCL: install a torch with NCCL")
    else:
        yield ok("distributed", message)


def compiling(torch: Any) -> Iterator[Finding]:
    """Check for the compilers that `compile: true` needs."""
    if torch.cuda.is_available() and importlib.util.find_spec("triton") is None:
        yield note("compile", "no Triton for the GPU", "pip install triton, or omit `compile`")
        return
    setting = os.environ.get("CXX", "")
    compiler = next(filter(None, map(shutil.which, filter(None, (setting, "g++", "clang++", "c++", "cl")))), None)
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if compiler is None:
        message = "no C++ compiler: `compile: true` does not work on the CPU"
        yield note("compile", message, "install g++ or clang++, or set CXX")
    elif not header.is_file():
        message = f"{compiler}, but no {header}: `compile: true` does not work on the CPU"
        yield note("compile", message, "install Python's headers (python3-dev)")
    else:
        yield ok("compile", f"{compiler}, for `compile: true` on the CPU")
