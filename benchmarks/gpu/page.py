"""The page with the results."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import readme
from isolation import Outcome
from part import Part, Setting

_HEAD = """# Measured on a GPU

Written by `python benchmarks/gpu/run.py`. Models and data are random: nothing is downloaded. Each part runs in a separate process with a
time limit. A row that fails says why, and the others are measured.

{machine}
"""
_TRIAL = "**A trial run with tiny models{device}: the numbers mean nothing.**\n"


def write(path: Path, parts: Mapping[str, Part], outcomes: Mapping[str, Outcome], setting: Setting) -> None:
    """Write the page.

    Args:
        path: The file.
        parts: All parts that will run, in order.
        outcomes: What those that have run have measured.
        setting: Device and size.
    """
    lines = [_HEAD.format(machine=machine(setting))]
    if setting.is_tiny:
        lines.append(_TRIAL.format(device=" on a CPU" if setting.device == "cpu" else ""))
    for name, part in parts.items():
        lines += [f"## {part.title}\n", f"{part.about}\n", _section(part, outcomes.get(name)), ""]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _section(part: Part, outcome: Outcome | None) -> str:
    if outcome is None:
        return "Not measured yet."
    rows = [[_cell(cell) for cell in row] + [""] * (len(part.heads) - len(row)) for row in outcome.rows]
    took = f"Took {outcome.seconds:.0f} s."
    took = f"{took} **Incomplete: {_cell(outcome.problem)}.**" if outcome.problem else took
    return f"{readme.table(part.heads, rows)}\n\n{took}" if rows else took


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def machine(setting: Setting) -> str:
    """Return when and on what this was measured."""
    return f"{_gpu()}{readme.machine()}" if setting.device == "cuda" else readme.machine()


def _gpu() -> str:
    """Return the name of the GPU as its driver reports it; this process does not initialise it."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    name, memory, driver = (word.strip() for word in done.stdout.splitlines()[0].split(","))
    return f"GPU: {name}, {memory}, driver {driver}. "
