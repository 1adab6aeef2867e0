"""The command line of one run below torchrun."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

TORCHRUN = ("-P", "-m", "distill_core.cli._ranks")  # -P: import nothing from the current folder


def restarts(number: int) -> list[str]:
    """Return the argument of torchrun for a number of restarts.

    >>> restarts(2)
    ['--max-restarts=2']
    """
    return [f"--max-restarts={number}"] if number else []


def run_words(
    file: Path, overrides: Sequence[str], output: Path, *, resume: bool = False, change: bool = False,
    trust: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Return the arguments of `distill` that start one run.

    >>> run_words(Path("kd.yaml"), ["seed=1"], Path("out"), trust=["mine"])
    ['run', 'kd.yaml', 'seed=1', '--output', 'out', '--trust', 'mine']
    """
    words = ["run", str(file), *overrides, "--output", str(output)]
    trusted = [word for package in trust for word in ("--trust", package)]
    return words + ["--resume"] * resume + ["--change"] * change + trusted
