"""Benchmark of a cached teacher against a live one and none, and of the savings by stopping early.

    python benchmarks/teacher_cache/run.py [--rounds 7]

Every comparison is interleaved: the contenders take turns of a few steps in one process. The measure is CPU time per step of
the complete trainer. This script writes the tables in README.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "overhead"))

from lanes import Tick, race  # noqa: E402

from distill_core.cache import Cache, Key  # noqa: E402
from distill_core.data import Loader, TensorData  # noqa: E402
from distill_core.experiment import CacheSettings  # noqa: E402
from distill_core.hooks import Capture  # noqa: E402
from distill_core.losses import KDLoss  # noqa: E402
from distill_core.preview import build_caches  # noqa: E402
from distill_core.train import Callback, Experiment, Stage, Term, Trainer  # noqa: E402
from distill_vision import models  # noqa: E402
from distill_vision.transforms import Compose, horizontal_flip, normalize, random_crop  # noqa: E402

BATCH, SAMPLES = 128, 1280
BEGIN, END = "<!-- begin of the measurements -->", "<!-- end of the measurements -->"
MAPS = ("layer2", "layer3")
AUGMENT = Compose([partial(random_crop, padding=4), horizontal_flip])


def prepared(images: Tensor, seeds: Tensor) -> Tensor:
    """Apply the standard augmentation of CIFAR."""
    return normalize(AUGMENT(images, seeds), mean=[0.49, 0.48, 0.45], std=[0.25, 0.24, 0.26])


def loader() -> Loader:
    """Return a loader of noise images of CIFAR's size."""
    images = torch.randint(256, (SAMPLES, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Loader(TensorData({"input": images, "target": torch.arange(SAMPLES) % 100}, prepared), BATCH, shuffle=True)


class Tiny(nn.Module):
    """A student so small that every additional cost is visible."""

    def __init__(self) -> None:
        super().__init__()
        self.layer2 = nn.Sequential(nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.ReLU())
        self.layer3 = nn.Sequential(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU())
        self.fc = nn.Linear(64, 100)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 100)."""
        return self.fc(self.layer3(self.layer2(images)).mean((2, 3)))


class Minimal(nn.Module):
    """The smallest possible network: data and trainer take longer than its own step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 100)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 100)."""
        return self.fc(self.conv(images).relu().mean((2, 3)))


class Given(nn.Module):
    """A teacher without cost: it always returns the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer2, self.layer3 = nn.Identity(), nn.Identity()
        self.tensors = torch.randn(BATCH, 32, 16, 16), torch.randn(BATCH, 64, 8, 8), torch.randn(BATCH, 100)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 100)."""
        del images
        self.layer2(self.tensors[0])
        self.layer3(self.tensors[1])
        return self.tensors[2]


class OneFileEach(nn.Module):
    """The common cache: one `.pt` file per sample."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        for index in range(SAMPLES):
            torch.save(torch.randn(100), folder / f"{index}.pt")

    def forward(self, index: Tensor) -> Tensor:
        """Return logits (batch, 100)."""
        return torch.stack([torch.load(self.folder / f"{each}.pt", weights_only=True) for each in index.tolist()])


class Turn(Callback):
    """Ends the turn after each step."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    def on_step_end(self, trainer: Trainer) -> None:
        """Called after each step."""
        del trainer
        self.tick()


def settled(teacher: nn.Module) -> nn.Module:
    """Give a new teacher the statistics of these images; without them its logits would be unrealistic, in the thousands."""
    update_bn((batch["input"] for batch in loader()), teacher)
    return teacher.eval()


def hint(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Return the squared distance of feature maps."""
    return torch.stack([nn.functional.mse_loss(s, t) for s, t in zip(student, teacher, strict=True)]).sum()


def endless(
    student: Callable[[], nn.Module], teacher: nn.Module | None, taps: str, options: Mapping[str, Any],
    feed: Mapping[str, Any] | None = None,
) -> Experiment:  # fmt: skip
    """Return an endless experiment."""
    torch.manual_seed(0)
    terms = {"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})}
    if teacher is not None and taps == "logits":
        terms["kd"] = Term(loss=KDLoss(temperature=4.0), inputs={"student": "student", "teacher": "teacher"})
    elif teacher is not None:
        maps = {name: [f"{name}.{layer}" for layer in MAPS] for name in ("student", "teacher")}
        terms["hint"] = Term(loss=hint, inputs=maps)
    both = {"student": student()} | ({"teacher": teacher.eval()} if teacher is not None else {})
    optimizer = partial(torch.optim.SGD, lr=1e-3, momentum=0.9)
    stage = Stage(epochs=10**6, losses=terms, optimizer=optimizer, feed=feed)
    return Experiment(models=both, data={"train": loader()}, stages=[stage], log_every=10**9, **options)


def train(build: Callable[[], Experiment], tick: Tick) -> None:
    """Train without end."""
    Trainer(build(), callbacks=[Turn(tick)]).fit()


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


def report(results: dict[str, Any]) -> None:
    """Write the tables between the markers in README.md."""
    lines = [f"Measured {results['when']} on {results['machine']}; load {results['load']}."]
    titles = {
        "steps": ("student, taps", "CPU time of a training step, medians of ratios of interleaved turns:"),
        "epochs": ("teacher of ResNet-20", "An epoch of 50,000 samples, live and cached, seconds of CPU time:"),
        "early stop": ("ResNet-152, tapped at", "A forward of two images of 128×128 pixels, CPU time:"),
        "size": ("", "A cache of logits:"),
    }
    for name, (corner, title) in titles.items():
        lines += ["", title, "", *table(corner, results[name])]
    path = HERE / "README.md"
    before, _, rest = path.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def table(corner: str, rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Format a Markdown table: one row per entry, one column per number."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| {corner} | " + " | ".join(names) + " |", "|---" + "|---:" * len(names) + "|"]
    for label, row in rows.items():
        cells = [number(row[name]) if name in row else "" for name in names]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def number(value: float) -> str:
    """Format three digits, or all digits of a larger number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def machine() -> str:
    """Describe the processor and the versions."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, one thread, torch {torch.__version__}"


def main() -> None:
    """Run all measurements and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--only", nargs="*", help="Rows of the first table to measure, such as 'tiny, two maps'; the rest stays."
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    students = {
        "ResNet-20": (partial(models.resnet20, num_classes=100), 1),
        "tiny": (Tiny, 10),
        "minimal": (Minimal, 50),
    }
    results: dict[str, Any]
    load, steps = f"{os.getloadavg()[0]:.1f}", {}
    for name, (student, block) in students.items():
        for taps in ("logits", "two maps")[: 1 if name == "minimal" else 2]:
            if options.only is None or f"{name}, {taps}" in options.only:
                with tempfile.TemporaryDirectory() as folder:
                    steps[f"{name}, {taps}"] = ratios(student, taps, options.rounds, block, Path(folder))
                print(name, taps, json.dumps(steps[f"{name}, {taps}"]), flush=True)
    if options.only is not None:
        results = json.loads((HERE / "results.json").read_text())
        results["steps"] |= steps
        results["when"] += "; " + dt.datetime.now(dt.UTC).strftime(f"%Y-%m-%d %H:%M UTC: {' and '.join(options.only)}")
        report(results)
        return
    results = {"steps": steps, "epochs": {}, "early stop": {}}
    for teacher in ("resnet32", "resnet56", "resnet110"):
        with tempfile.TemporaryDirectory() as folder:
            results["epochs"][teacher] = epochs(teacher, options.rounds, Path(folder))
        print(teacher, json.dumps(results["epochs"][teacher]), flush=True)
    for tap in ("layer1", "layer2", "layer3"):
        results["early stop"][tap] = early_stop(options.rounds, tap)
    with tempfile.TemporaryDirectory() as folder:
        results["size"] = {"50,000 samples × 100 classes, float16": size_and_speed(Path(folder))}
    results["load"] = f"{load} at the beginning, {os.getloadavg()[0]:.1f} at the end, on {os.cpu_count()} cores"
    results["when"], results["machine"] = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"), machine()
    report(results)


if __name__ == "__main__":
    main()
