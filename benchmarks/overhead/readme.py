"""The README of this folder, written from the measurements."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

_TEXT = """# Overhead of the training loop

Written by `python benchmarks/overhead/run.py`. One process, one thread; the loops take turns of a few steps in random
order, so that all run under the same load. Times are CPU times, and ratios are to a plain PyTorch loop with the same numerics.
It gathers the batch from tensors in memory, runs teacher and student, computes cross-entropy,
Hinton's loss and a mean squared error for each tapped pair of layers (hooks by hand), steps SGD with momentum, and reads
the mean loss every 50 steps. Distill's optimizer is fused by default: `plain, fused` is the plain loop with the same fused
optimizer, and the last column compares with it. The script fails unless all students have the same weights at the end.

Median over the rounds, quartiles in brackets. *n* taps are *n* modules tapped in student *and* teacher, each pair with a
separate loss.

Pages of their own: [losses over a vocabulary](vocabulary.md), [checkpoints](checkpoints.md),
[models that stop early](early_stop.md), [two processes](processes.md),
[a step of language models, beside TRL](language_model.md).

{machine}

## Overhead

{overhead}

{tap_cost}

A step of Distill on the MLP without taps takes about 0.1 ms more than the plain loop with the fused optimizer. With parts of the
step replaced by those of the plain loop, about a quarter of this time is the test for finite gradients before each update, a
third is reading the outputs of both models, and the rest is calling the losses and the Python code of the loop.

## Memory

Peak memory of a step beyond the models, from the third step on; in brackets from the first step on. It is that of a second
run in the same process: what libraries import and load in the first one does not count. The first step copies all
tapped tensors, to detect which of them the model overwrites in place; later steps copy only those.

{memory}
{gains}"""

_GAINS = """
## Gains of the keys

A step of ResNet-20 from ResNet-56 relative to the plain loop, which has none of these options. Results agree within the
tolerance of each key (`tests/core/train/test_keys.py`).

{table}

Hinton's loss of 256 tokens × 32,000 words, forward and backward, compiled relative to not: **{vocabulary}**.
"""


def write(path: Path, results: dict[str, Any]) -> None:
    """Write the page.

    Args:
        path: The file.
        results: The results of `measure.everything`.
    """
    rows = results["overhead"]
    names = [name for name, value in rows[0].items() if isinstance(value, tuple)]
    overhead = [
        [f"{row['work']} ({row['milliseconds']:.2f} ms)", str(row["taps"]), *(_spread(row[name]) for name in names)]
        for row in rows
    ]
    costs = [f"{row['cost of the taps']:.2f} ({row['taps']} taps)" for row in rows if "cost of the taps" in row]
    memory = [
        [row["work"], str(row["taps"]), *(f"{later:.1f} ({first:.1f})" for first, later in taken.values())]
        for row, taken in zip(rows, results["memory"], strict=True)
    ]
    missing = (
        []
        if "Fabric" in names
        else ["Lightning Fabric, which no environment of this project has, was not installed and is omitted."]
    )
    page = _TEXT.format(
        machine=" ".join([machine(), *missing]),
        overhead=table(["work (a step of the plain loop)", "taps", *names], overhead),
        tap_cost="What Distill's taps with their losses cost in the MLP, relative to taps by hand: "
        + ", ".join(costs)
        + ".",
        memory=table(["MiB", "taps", *results["memory"][0]], memory),
        gains=_gains(results) if "gains" in results else "",
    )
    path.write_text(page, encoding="utf-8")


def _gains(results: dict[str, Any]) -> str:
    rows = [[name, _spread(values)] for name, values in results["gains"].items()]
    return _GAINS.format(table=table(["keys", "ratio"], rows), vocabulary=_spread(results["vocabulary"]))


def _spread(quartiles: Sequence[float]) -> str:
    first, middle, third = quartiles
    return f"{middle:.2f} ({first:.2f}–{third:.2f})"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine() -> str:
    """Return when and on what this was measured."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    packages = [name for name in ("torch", "accelerate", "lightning-fabric", "transformers", "trl") if _version(name)]
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    processor = f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
    return f"Measured {now} on {processor} (load {load}), Python {platform.python_version()}, {versions}."


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
