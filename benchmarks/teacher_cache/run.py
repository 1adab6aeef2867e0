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
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "overhead"))

from contenders import Minimal, Tiny  # noqa: E402
from measurements import early_stop, epochs, ratios, size_and_speed  # noqa: E402
from page import machine, report  # noqa: E402

from distill_vision import models  # noqa: E402


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
    before = json.loads((HERE / "results.json").read_text())
    results = {"steps": steps, "epochs": {}, "early stop": {}, **{key: before[key] for key in before if "cold" in key}}
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
