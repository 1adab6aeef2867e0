"""The tables of README.md, written from the measurements."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- begin of the measurements -->", "<!-- end of the measurements -->"

_COLD = """Rows that are not in memory, in random order, by `cold.py` ({when}). A run announces the rows of the next four batches
to the operating system, which reads them during the step:"""


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
    if "cold" in results:
        lines += ["", _COLD.format(when=results["cold measured"]), "", *table("rows of 12 KB", results["cold"])]
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
