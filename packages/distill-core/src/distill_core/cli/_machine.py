"""Devices, what they compute fast, what processes can talk over, and what `compile: true` needs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._finding import Finding, note, ok, problem

SIZE, REPEATS, FASTER = 512, 3, 1.3
LITTLE = 2e9


def machine() -> Iterator[Finding]:
    """All that torch can say of this machine; nothing if it cannot be imported, which `versions` tells."""
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
    """The cores that this process may use: those of its container, where it has a limit.

    Args:
        quota: Where Linux says how many microseconds of how many the container may compute.
    """
    allowed = len(getattr(os, "sched_getaffinity", lambda _: ())(0)) or os.cpu_count() or 1
    try:
        time_given, period = map(int, quota.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # another system, or no limit: `max 100000`
        return allowed
    return max(1, min(allowed, round(time_given / period)))


def cpu(threads: int, cores: int, setting: str) -> Iterator[Finding]:
    """Threads against cores, and memory."""
    told = f"{cores} core{'s' * (cores > 1)}, torch uses {threads} thread{'s' * (threads > 1)}; OMP_NUM_THREADS is {setting or 'not set'}"
    if threads > cores:
        yield note("cpu", told, f"more threads than cores wait for each other: export OMP_NUM_THREADS={cores}")
    else:
        yield ok("cpu", told)
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys():
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        told = f"{size / 1e9:.1f} GB"
        yield (
            ok("memory", told) if size >= LITTLE else note("memory", told, "that is little: small batches, few workers")
        )


def gpus(torch: Any) -> Iterator[Finding]:
    """GPUs with their memory; a driver that torch does not see is a problem."""
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, whole = torch.cuda.mem_get_info(number)
            name, (major, minor) = torch.cuda.get_device_name(number), torch.cuda.get_device_capability(number)
            told = f"{name}, {free / 1e9:.1f} of {whole / 1e9:.1f} GB free, compute capability {major}.{minor}"
            yield ok(f"cuda:{number}", told)
    elif torch.backends.mps.is_available():
        yield ok("mps", "Apple's GPU; the trainer takes it by itself")
    elif Path("/proc/driver/nvidia/version").exists():
        built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
        hint = (
            "`nvidia-smi` says what the driver supports; install the torch that fits: https://pytorch.org/get-started"
        )
        yield problem("cuda", f"there is an NVIDIA driver, and torch sees no GPU: it {built}", hint)
    else:
        yield note("gpu", "none that torch can use: training runs on the CPU")


def precisions(torch: Any) -> Iterator[Finding]:
    """How fast matrices are multiplied in each precision, measured."""
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    size = SIZE if device == "cpu" else 8 * SIZE
    base = _seconds(torch, torch.float32, device, size)
    speeds = {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        try:
            speeds[name] = base / _seconds(torch, dtype, device, size)
        except RuntimeError:
            speeds[name] = 0.0
    told = ", ".join(
        f"{name} {f'{speed:.2g} × as fast as fp32' if speed else 'is not supported'}" for name, speed in speeds.items()
    )
    fast = [name for name, speed in speeds.items() if speed >= FASTER]
    advice = f"`precision: {fast[0]}` may be faster" if fast else "`precision: fp32`, the default, is the fastest"
    yield ok("precision", f"{told}, for products of {size} × {size} on {device}: {advice}")


def _seconds(torch: Any, dtype: Any, device: str, size: int) -> float:
    """The shortest time of a matrix product."""
    matrix = torch.ones(size, size, dtype=dtype, device=device)
    wait = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(device, lambda: None)
    times = []
    for _ in range(REPEATS + 1):
        wait()
        start = time.perf_counter()
        matrix @ matrix
        wait()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def backends(torch: Any) -> Iterator[Finding]:
    """What several processes can talk over."""
    if not torch.distributed.is_available():
        yield note("distributed", "this torch is built without it: one process only")
        return
    names = [name for name in ("nccl", "gloo", "mpi") if getattr(torch.distributed, f"is_{name}_available")()]
    told = ", ".join(names) or "none"
    if torch.cuda.device_count() > 1 and "nccl" not in names:
        yield note("distributed", told, "several GPUs are slow without NCCL: install a torch that has it")
    else:
        yield ok("distributed", told)


def compiling(torch: Any) -> Iterator[Finding]:
    """Whether `compile: true` finds what it writes code for."""
    if torch.cuda.is_available() and importlib.util.find_spec("triton") is None:
        yield note("compile", "no Triton for the GPU", "pip install triton, or leave `compile` out")
        return
    named = os.environ.get("CXX", "")
    compiler = next(filter(None, map(shutil.which, filter(None, (named, "g++", "clang++", "c++", "cl")))), None)
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if compiler is None:
        told = "no C++ compiler: `compile: true` does not work on the CPU"
        yield note("compile", told, "install g++ or clang++, or name one with CXX")
    elif not header.is_file():
        told = f"{compiler}, but no {header}: `compile: true` does not work on the CPU"
        yield note("compile", told, "install Python's headers (python3-dev)")
    else:
        yield ok("compile", f"{compiler}, for `compile: true` on the CPU")
