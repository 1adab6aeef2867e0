"""Measurements: training steps, epochs, stopping early, and a cache of logits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from contenders import BATCH, SAMPLES, Given, OneFileEach, Tiny, endless, settled, train
from lanes import race
from torch import nn

from distill_core.cache import Cache, Key
from distill_core.experiment import CacheSettings
from distill_core.hooks import Capture
from distill_core.preview import build_caches
from distill_core.train import Trainer
from distill_vision import models


def ratios(student: Callable[[], nn.Module], taps: str, rounds: int, block: int, folder: Path) -> dict[str, float]:
    """Return the CPU time per step of each contender relative to the student alone, and to one whose teacher is free."""

    def cache(name: str, views: int) -> dict[str, Any]:
        return {"cache": {"teacher": CacheSettings(folder=str(folder / name), views=views)}}

    teacher = settled(models.resnet56(num_classes=100))
    ready = cache("ready", 1)
    build_caches(Trainer(endless(student, teacher, taps, ready)), print)
    lanes = {
        "alone": (None, {}, None),
        "given": (Given(), {}, None),
        "live": (teacher, {"views": 1}, None),
        "building": (teacher, cache("building", 200), None),
        "cached": (teacher, ready, None),
    }
    if taps == "logits":
        (folder / "files").mkdir()
        files = OneFileEach(folder / "files")
        lanes["one .pt a sample"] = (files, {}, {"teacher": {"index": "batch.index"}})
    loops = {
        name: partial(train, partial(endless, student, model, taps, options, feed))
        for name, (model, options, feed) in lanes.items()
    }
    # An epoch has ten steps: a turn of ten steps contains its beginning and end. Live teachers are slow, so they get fewer turns.
    slow = {name: loops.pop(name) for name in ("live", "building")} if block > 1 else {}
    seconds = race(loops, block, rounds, warm_up=2)
    seconds |= race(slow, 10, rounds // 2 + 1, warm_up=1) if student is Tiny else {}

    def over(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=False))

    row = {f"{name} / alone": over(name, "alone") for name in lanes if name in seconds and name != "alone"}
    pairs = [("cached", "given"), ("building", "live"), ("live", "cached")]
    row |= {f"{one} / {other}": over(one, other) for one, other in pairs if one in seconds and other in seconds}
    row["alone, ms"] = 1e3 * statistics.median(seconds["alone"])
    row["copying the rows, ms"] = 1e3 * copying(taps)
    return row


def copying(taps: str) -> float:
    """Return the CPU seconds to gather a batch of the cache's tensors from memory, a lower bound for any reader."""
    sizes = (32 * 16 * 16, 64 * 8 * 8) if taps == "two maps" else (100,)
    stored = [torch.randn(SAMPLES, size) for size in sizes]
    order = torch.split(torch.randperm(SAMPLES), BATCH)
    times = []
    for _ in range(20):
        start = time.process_time()
        for rows in order:
            [tensor.index_select(0, rows) for tensor in stored]
        times.append((time.process_time() - start) / len(order))
    return statistics.median(times)


def epochs(teacher: str, rounds: int, folder: Path) -> dict[str, float]:
    """Return the CPU seconds of an epoch of ResNet-20 with a live and a cached teacher, and their ratio."""
    student = partial(models.resnet20, num_classes=100)
    model = settled(getattr(models, teacher)(num_classes=100))
    cache = {"cache": {"teacher": CacheSettings(folder=str(folder), views=1)}}
    lanes: dict[str, dict[str, Any]] = {"live": {"views": 1}, "cached": cache}
    loops = {
        name: partial(train, partial(endless, student, model, "logits", options)) for name, options in lanes.items()
    }
    build_caches(Trainer(endless(student, model, "logits", cache)), print)
    seconds = race(loops, 1, rounds, warm_up=2)
    ratio = statistics.median(a / b for a, b in zip(seconds["live"], seconds["cached"], strict=True))
    steps = 50_000 / BATCH
    return {name: steps * statistics.median(times) for name, times in seconds.items()} | {"live / cached": ratio}


def early_stop(rounds: int, tap: str) -> dict[str, float]:
    """Return calls of modules and CPU time of ResNet-152 with one tap, stopped early and complete."""
    from torchvision.models import resnet152

    model = resnet152().eval()
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    for module in model.modules():
        module.register_forward_hook(count)
    images = torch.randn(2, 3, 128, 128)
    captures = {stop: Capture(model, [tap], stop_early=stop) for stop in (True, False)}
    seconds: dict[bool, list[float]] = {True: [], False: []}
    counted = {}
    with torch.no_grad():
        for index in range(rounds + 1):
            for stop, capture in captures.items():
                calls, start = 0, time.process_time()
                capture.run(images)
                if index:
                    seconds[stop].append(time.process_time() - start)
                    counted[stop] = calls
    ratio = statistics.median(a / b for a, b in zip(seconds[True], seconds[False], strict=True))
    times = {
        f"{name}, ms": 1e3 * statistics.median(seconds[stop]) for stop, name in ((True, "stopped"), (False, "complete"))
    }
    called = {"modules called, stopped": counted[True], "modules called, complete": counted[False]}
    return {**times, "stopped / complete": ratio, **called}


def size_and_speed(folder: Path) -> dict[str, float]:
    """Return megabytes, and milliseconds to verify and to read all, of a cache of 50,000 samples × 100 logits in float16."""
    key = Key({"of": "noise"})
    cache = Cache(folder, "teacher", key, 50_000, 1)
    order = torch.randperm(50_000)
    inputs = torch.zeros(50_000, dtype=torch.int64)
    cache.write(0, order, {"values": torch.randn(50_000, 100).half(), "#input": inputs}, {})
    cache.seal(0)
    total = sum(path.stat().st_size for path in cache.folder.iterdir())
    batches = torch.split(order, BATCH)
    checks, reads = [], []
    for _ in range(7):
        cache = Cache(folder, "teacher", key, 50_000, 1)
        start = time.perf_counter()
        cache.is_complete(0)
        checks.append(time.perf_counter() - start)
        start = time.perf_counter()
        for rows in batches:
            cache.read(0, rows)
        reads.append(time.perf_counter() - start)
    return {
        "megabytes": total / 1e6,
        "milliseconds to verify": 1e3 * statistics.median(checks),
        "milliseconds to read all, in random batches": 1e3 * statistics.median(reads),
    }
