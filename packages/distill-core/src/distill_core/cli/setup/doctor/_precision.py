"""Diagnostics of the precisions: the measured speed of a matrix product in each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ._finding import Finding, ok

SIZES = {"cpu": 1024, "mps": 4096, "cuda": 8192}
"""Rows of a square matrix by device: large enough that the product, not its start, takes the time."""
WARMUPS, ROUNDS, BUDGET = 1, 9, 4.0
"""Products of each precision that are not counted and that are, and the seconds after which no round begins."""
FASTER = 1.3


def precisions(torch: Any) -> Iterator[Finding]:
    """Measure the speed of a matrix product in each precision on the device that the trainer uses."""
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    seconds, rounds = durations(_products(torch, device))
    yield ok("precision", describe(seconds, SIZES[device], device, torch.get_num_threads(), rounds))


def _products(torch: Any, device: str) -> dict[str, Callable[[], object]]:
    """Return a function for each precision that the device supports; it returns when the product is complete."""
    wait = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(device, lambda: None)
    products: dict[str, Callable[[], object]] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        generator = torch.Generator().manual_seed(0)
        matrix = torch.randn(SIZES[device], SIZES[device], generator=generator).to(device, dtype)

        def product(matrix: Any = matrix) -> None:
            matrix @ matrix
            wait()

        try:
            product()
        except RuntimeError:
            continue
        products[name] = product
    return products


def durations(products: Mapping[str, Callable[[], object]]) -> tuple[dict[str, float], int]:
    """Return the median duration of each function in seconds, and the number of counted rounds, at least one.

    Each round calls all of them, so that another program on this machine slows all alike.
    """
    times: dict[str, list[float]] = {name: [] for name in products}
    begin = time.perf_counter()
    for number in range(WARMUPS + ROUNDS):
        if number > WARMUPS and time.perf_counter() - begin > BUDGET:
            break
        for name, product in products.items():
            start = time.perf_counter()
            product()
            if number >= WARMUPS:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}, len(next(iter(times.values())))


def describe(seconds: Mapping[str, float], size: int, device: str, threads: int, rounds: int) -> str:
    """Return the measured speeds and the precision that they suggest.

    >>> describe({"fp32": 0.02, "bf16": 0.01}, 1000, "cpu", 2, 9)
    'fp32 100 GFLOP/s, bf16 200 GFLOP/s, fp16 not supported: median of 9 products of 1000 × 1000 matrices on the CPU, 2 threads; `precision: bf16` may train faster where such products take most of the time'
    """
    speeds = {name: 2 * size**3 / value / 1e9 for name, value in seconds.items()}
    listed = ", ".join(
        f"{name} {speeds[name]:.3g} GFLOP/s" if name in speeds else f"{name} not supported"
        for name in ("fp32", "bf16", "fp16")
    )
    where = f"the CPU, {threads} thread{'s' * (threads > 1)}" if device == "cpu" else device
    fast = [name for name in ("bf16", "fp16") if speeds.get(name, 0) >= FASTER * speeds["fp32"]]
    advice = (
        f"`precision: {fast[0]}` may train faster where such products take most of the time"
        if fast
        else "`precision: fp32`, the default, is the fastest"
    )
    return f"{listed}: median of {rounds} products of {size} × {size} matrices on {where}; {advice}"
