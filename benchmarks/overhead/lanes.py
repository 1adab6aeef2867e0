"""Training loops that take turns: each runs in a separate thread, and only in its turn.

This stops the loop of any library after a number of steps and continues it later. Loops are compared in CPU time under the
same load.
"""

from __future__ import annotations

import ctypes
import random
import statistics
import threading
import time
from collections.abc import Callable, Mapping

Tick = Callable[[], None]
Loop = Callable[[Tick], None]
"""An endless training loop that calls its argument after each step."""


class _Over(BaseException):
    """Ends a loop. A `BaseException`, so that a loop's own `except Exception` does not catch it."""


class Lane:
    """One loop.

    Args:
        loop: An endless training loop; the first `run` starts it.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._left, self._over = 0, False
        self._begun = self._seconds = 0.0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def run(self, steps: int) -> float:
        """Run the loop for a number of steps and return the CPU seconds per step."""
        self._left = steps
        self._turn.release()
        self._done.acquire()
        if self._error:
            raise self._error
        return self._seconds / steps

    def end(self) -> None:
        """End the loop."""
        self._over = True
        self._turn.release()
        self._thread.join()

    def _main(self) -> None:
        try:
            self._wait()
            self._loop(self._tick)
        except _Over:
            pass
        except BaseException as error:  # noqa: BLE001  `run` raises it
            self._error = error
            self._done.release()

    def _tick(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._seconds = time.process_time() - self._begun
            self._done.release()
            self._wait()

    def _wait(self) -> None:
        self._turn.acquire()
        if self._over:
            raise _Over
        self._begun = time.process_time()


def share_memory() -> None:
    """Use one heap that keeps freed memory for all threads; otherwise a random loop would pay for system calls."""
    if hasattr(library := ctypes.CDLL(None), "mallopt"):
        for option, value in ((-8, 1), (-3, 2**25), (-1, 2**31 - 1)):  # arenas, when to map, when to give back
            library.mallopt(option, value)


def race(loops: Mapping[str, Loop], block: int, rounds: int, warm_up: int = 3) -> dict[str, list[float]]:
    """Return CPU seconds per step for each loop and round; in a round each loop runs `block` steps, in random order."""
    share_memory()
    lanes = {name: Lane(loop) for name, loop in loops.items()}
    times: dict[str, list[float]] = {name: [] for name in lanes}
    order, rng = list(lanes), random.Random(0)
    try:
        for turn in range(warm_up + rounds):
            rng.shuffle(order)
            for name in order:
                seconds = lanes[name].run(block)
                if turn >= warm_up:
                    times[name].append(seconds)
    finally:
        for lane in lanes.values():
            lane.end()
    return times


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Return the first quartile, the median and the third quartile."""
    first, middle, third = statistics.quantiles(values, n=4)
    return first, middle, third


def ratios(times: list[float], base: list[float]) -> tuple[float, float, float]:
    """Return the quartiles over the rounds of `times / base`."""
    return quartiles([one / other for one, other in zip(times, base, strict=True)])
