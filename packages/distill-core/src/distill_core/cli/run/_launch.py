"""`distill launch`: one run on several processes of this machine, started by torchrun."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from .._command import Command
from .._exit import refuse
from .._options import (
    change_option,
    file_argument,
    json_option,
    max_restarts_option,
    overrides_argument,
    resume_option,
    run_output_option,
    trust_option,
)
from ._torchrun import TORCHRUN, restarts, run_words


@click.command(cls=Command)
@file_argument
@overrides_argument
@click.option("--gpus", metavar="N", type=int, help="Number of processes, each on its own GPU.")
@click.option("--processes", metavar="N", type=int, help="Number of processes on the CPU.")
@run_output_option
@resume_option
@change_option
@max_restarts_option
@json_option
@trust_option
@click.option("--dry-run", is_flag=True, help="Print the command and exit.")
def launch(
    file: Path,
    overrides: tuple[str, ...],
    gpus: int | None,
    processes: int | None,
    output: Path | None,
    resume: bool,
    change: bool,
    max_restarts: int,
    as_json: bool,
    trust: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Train on several GPUs or processes of this machine.

    The processes are started by torchrun, and FILE needs no change. --json prints what `distill run` prints with it, and with
    --dry-run the command as a list.
    """
    from .._folder import choose_folder

    num_processes = _num_processes(gpus, processes)
    if max_restarts and not resume:
        refuse("--max-restarts requires --resume", "add --resume and --output DIR")
    folder = choose_folder(file, output, resume=resume)
    words = run_words(file, overrides, folder, resume=resume, change=change, trust=trust) + ["--json"] * as_json
    command = launch_command(num_processes, words, max_restarts=max_restarts)
    hidden = {} if gpus is not None else {"CUDA_VISIBLE_DEVICES": ""}
    shown = shlex.join([*(f"{name}={value}" for name, value in hidden.items()), *command])
    if as_json and dry_run:
        print(json.dumps({"command": command, "environment": hidden, "output": str(folder)}, indent=1))
    else:
        print(shown, flush=True, file=sys.stderr if as_json else sys.stdout)
    if not dry_run:
        threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(_num_threads(num_processes))}
        # The launcher replaces this process: signals reach it, and its exit code is the exit code of the command.
        os.execve(sys.executable, command, {**os.environ, **hidden, **threads})  # noqa: S606  no shell


def launch_command(num_processes: int, words: Sequence[str], *, max_restarts: int = 0) -> list[str]:
    """Return the command that starts several processes on this machine.

    >>> launch_command(4, ["run", "kd.yaml", "--output", "out"])[1:]
    ['-P', '-m', 'distill_core.cli._ranks', '--standalone', '--nproc-per-node=4', '-m', 'distill_core', 'run', 'kd.yaml', '--output', 'out']
    """
    torchrun = [sys.executable, *TORCHRUN, "--standalone", f"--nproc-per-node={num_processes}"]
    return [*torchrun, *restarts(max_restarts), "-m", "distill_core", *words]


def _num_processes(gpus: int | None, processes: int | None) -> int:
    count = gpus if gpus is not None else processes
    if count is None or (gpus is not None and processes is not None):
        refuse("one of --gpus and --processes is required", "add --gpus N, or --processes N for processes on the CPU")
    if count < 1:
        refuse(f"the number of processes must be at least 1, got {count}")
    return count


def _num_threads(num_processes: int) -> int:
    return max(1, (os.cpu_count() or 1) // num_processes)
