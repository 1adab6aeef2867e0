"""`distill launch` and `distill slurm`: one run on several processes, by torchrun, with no change to its file."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ._exit import refuse
from ._folder import LOG, choose_folder

_WARNING = 120  # seconds between Slurm's SIGTERM and the end of the time: enough for a step and a checkpoint
_LAUNCHER = ("-P", "-m", "distill_core.cli._ranks")  # -P: not from the current folder


def run_words(
    file: Path, overrides: Sequence[str], output: Path, *, resume: bool = False, change: bool = False,
    trust: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """The words after `distill` of one run.

    >>> run_words(Path("kd.yaml"), ["seed=1"], Path("out"), trust=["mine"])
    ['run', 'kd.yaml', 'seed=1', '--output', 'out', '--trust', 'mine']
    """
    words = ["run", str(file), *overrides, "--output", str(output)]
    return (
        words
        + ["--resume"] * resume
        + ["--change"] * change
        + [word for package in trust for word in ("--trust", package)]
    )


def launch_command(num_processes: int, words: Sequence[str]) -> list[str]:
    """The command that starts so many processes on this machine.

    >>> launch_command(4, ["run", "kd.yaml", "--output", "out"])[1:]
    ['-P', '-m', 'distill_core.cli._ranks', '--standalone', '--nproc-per-node=4', '-m', 'distill_core', 'run', 'kd.yaml', '--output', 'out']
    """
    torchrun = [sys.executable, *_LAUNCHER, "--standalone", f"--nproc-per-node={num_processes}"]
    return [*torchrun, "-m", "distill_core", *words]


def launch(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    gpus: int | None = None,
    processes: int | None = None,
    output: Path | None = None,
    resume: bool = False,
    change: bool = False,
    trust: Sequence[str] = (),
    dry_run: bool = False,
) -> None:
    """Start a run on several processes of this machine, or print the command that would.

    Args:
        file: The experiment.
        overrides: Changes of the file.
        gpus: Processes, each with a GPU of its own.
        processes: Processes on the CPU.
        output: The folder of the run; a new one under `runs/` if left out.
        resume: Go on with the run in `output`.
        change: With `resume`, accept changes of the file that do not concern what was trained so far.
        trust: Packages that the file may name.
        dry_run: Only print the command.

    Raises:
        ConfigError: It was not said how many processes.
    """
    count = _one_of(gpus, processes)
    folder = choose_folder(file, output, resume=resume)
    command = launch_command(count, run_words(file, overrides, folder, resume=resume, change=change, trust=trust))
    hidden = {} if gpus is not None else {"CUDA_VISIBLE_DEVICES": ""}
    print(shlex.join([*(f"{name}={value}" for name, value in hidden.items()), *command]), flush=True)
    if not dry_run:
        threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(_threads(count))}
        # The launcher takes the place of this process, so that signals reach it and its exit code is ours.
        os.execve(sys.executable, command, {**os.environ, **hidden, **threads})  # noqa: S606  no shell


def slurm_script(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    nodes: int,
    gpus: int,
    output: Path,
    time: str = "24:00:00",
    partition: str = "",
    change: bool = False,
    trust: Sequence[str] = (),
) -> str:
    """A batch script for Slurm; a run that meets its time limit saves, and is queued again until it is through.

    Args:
        file: The experiment.
        overrides: Changes of the file.
        nodes: Machines.
        gpus: GPUs, and so processes, on each.
        output: The folder of the run, on a file system that all machines see.
        time: The time limit, `hours:minutes:seconds`.
        partition: Slurm's partition, its default if empty.
        change: Accept changes of the file that do not concern what was trained so far.
        trust: Packages that the file may name.

    Raises:
        ConfigError: A number is less than 1.
    """
    if nodes < 1 or gpus < 1:
        refuse(f"a job has at least one node and one GPU, not {nodes} and {gpus}")
    words = shlex.join(run_words(file, overrides, output, resume=True, change=change, trust=trust))
    log, results = shlex.quote(str(output / LOG)), shlex.quote(str(output / "results.json"))
    partitions = f"#SBATCH --partition={shlex.quote(partition)}\n" if partition else ""
    return f"""\
#!/bin/bash
#SBATCH --job-name={shlex.quote("distill-" + file.stem)}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={gpus}
#SBATCH --time={time}
{partitions}#SBATCH --signal=TERM@{_WARNING}
#SBATCH --requeue
#SBATCH --open-mode=append

# Two minutes before the time is over every process is told to save and stop; the job then queues itself again.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun python {shlex.join(_LAUNCHER)} --nnodes={nodes} --nproc-per-node={gpus} \\
    --rdzv-id="$SLURM_JOB_ID-${{SLURM_RESTART_COUNT:-0}}" --rdzv-backend=c10d --rdzv-endpoint="$first:29500" \\
    -m distill_core {words}
code=$?
if [ ! -f {results} ] && tail -n 1 {log} | grep -q "^stopped at step"; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""


def _one_of(gpus: int | None, processes: int | None) -> int:
    count = gpus if gpus is not None else processes
    if count is None or (gpus is not None and processes is not None):
        refuse("how many processes?", "give --gpus N, or --processes N for processes on the CPU")
    if count < 1:
        refuse(f"a run has at least one process, not {count}")
    return count


def _threads(processes: int) -> int:
    return max(1, (os.cpu_count() or 1) // processes)
