"""Measurements: interleaved times, memory, and gains of the keys that trade the last digits for speed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import loops
import torch
from lanes import Loop, Tick, quartiles, race, ratios
from memory import peak
from works import WORKS, Work

from distill_core.losses import KDLoss

KEYS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "channels_last": {"channels_last": True},
    "bf16": {"precision": "bf16"},
    "channels_last, bf16": {"channels_last": True, "precision": "bf16"},
    "compile": {"compile": True},
    "compile, channels_last": {"compile": True, "channels_last": True},
    "compile, channels_last, bf16": {"compile": True, "channels_last": True, "precision": "bf16"},
}


def contenders() -> dict[str, Callable[[Work], Loop]]:
    """Return the loops to compare, by name."""
    fused = partial(loops.plain, fused=True)
    return {"plain": loops.plain, "plain, fused": fused, "Distill": loops.distill, **loops.others()}


def memory(kind: str, taps: int) -> dict[str, tuple[float, float]]:
    """Return the peak memory of each loop in MiB, of all steps and from the third step on."""
    return {name: peak(partial(WORKS[kind], taps), make) for name, make in contenders().items()}


def overhead(kind: str, taps: int, rounds: int) -> dict[str, Any]:
    """Return the time of a step of each loop relative to the plain loop, and the cost of taps relative to taps by hand."""
    make = WORKS[kind]
    works = {name: make(taps) for name in contenders()}
    racing = {name: loop(works[name]) for name, loop in contenders().items()}
    if taps and kind == "mlp":  # in the other work the arithmetic of a step varies by more than its taps cost
        racing |= {
            "plain 0": loops.plain(make(taps, tapped=False)),
            "Distill 0": loops.distill(make(taps, tapped=False)),
        }
    times = race(racing, works["plain"].block, rounds)
    _prove_equal(works)
    row: dict[str, Any] = {name: ratios(times[name], times["plain"]) for name in works if name != "plain"}
    row["Distill / plain, fused"] = ratios(times["Distill"], times["plain, fused"])
    if len(racing) > len(works):
        cost = {name: quartiles(times[name])[1] - quartiles(times[f"{name} 0"])[1] for name in ("plain", "Distill")}
        row["cost of the taps"] = cost["Distill"] / cost["plain"]
    return {"work": works["plain"].name, "taps": taps, "milliseconds": quartiles(times["plain"])[1] * 1e3, **row}


def _prove_equal(works: Mapping[str, Work]) -> None:
    """Check that all loops end with the same weights, which proves that they did the same work.

    Raises:
        AssertionError: The weights differ.
    """
    expected = works["plain"].student.state_dict()
    for work in works.values():
        torch.testing.assert_close(work.student.state_dict(), expected, rtol=1e-2, atol=1e-3)


def gains(rounds: int) -> dict[str, tuple[float, float, float]]:
    """Return the time of a step of ResNet-20 from ResNet-56 with each set of keys, relative to the plain loop."""
    make = partial(WORKS["resnet"], 0)
    racing = {name: loops.distill(make(), **keys) for name, keys in KEYS.items()}
    times = race({"plain": loops.plain(make()), **racing}, 1, rounds)
    return {name: ratios(times[name], times["plain"]) for name in KEYS}


def vocabulary(rounds: int, tokens: int = 256, words: int = 32_000) -> tuple[float, float, float]:
    """Return the time of KD over a vocabulary, forward and backward: compiled relative to eager."""
    torch.manual_seed(0)
    student, teacher = torch.randn(tokens, words, requires_grad=True), torch.randn(tokens, words)

    def loop(loss: Callable[..., torch.Tensor], tick: Tick) -> None:
        while True:
            loss(student, teacher).backward()
            student.grad = None
            tick()

    losses = {"eager": KDLoss(temperature=2.0), "compiled": torch.compile(KDLoss(temperature=2.0))}
    times = race({name: partial(loop, loss) for name, loss in losses.items()}, 2, rounds)
    return ratios(times["compiled"], times["eager"])


def everything(
    kinds: Sequence[str], all_taps: Sequence[int], rounds: int, *, compiles: bool, report: Callable[[str], None]
) -> dict[str, Any]:
    """Run all measurements; memory first, before any thread is started."""
    cases = [(kind, taps) for kind in kinds for taps in all_taps]
    for name in ("accelerate", "transformers", "lightning_fabric"):
        with contextlib.suppress(ModuleNotFoundError):
            __import__(name)
    results: dict[str, Any] = {"memory": [], "overhead": []}
    for kind, taps in cases:
        results["memory"].append(memory(kind, taps))
        report(f"memory, {kind}, {taps} taps: {results['memory'][-1]}")
    for kind, taps in cases:
        results["overhead"].append(overhead(kind, taps, rounds * (4 if kind == "mlp" else 1)))
        report(f"{results['overhead'][-1]}")
    if compiles:
        results["gains"] = gains(rounds)
        report(f"{results['gains']}")
        results["vocabulary"] = vocabulary(rounds)
        report(f"{results['vocabulary']}")
    return results
