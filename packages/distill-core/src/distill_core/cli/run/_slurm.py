"""`distill slurm`: a batch script for Slurm."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from .._command import Command
from .._exit import refuse
from .._options import (
    PATH,
    change_option,
    file_argument,
    json_option,
    max_restarts_option,
    overrides_argument,
    trust_option,
)
from .._run_files import LOG, RESULTS
from ._torchrun import TORCHRUN, restarts, run_words

_WARNING = 120  # seconds between Slurm's SIGTERM and the time limit: enough for a step and a checkpoint


@click.command(cls=Command)
@file_argument
@overrides_argument
@click.option("--nodes", metavar="N", default=1, help="Number of nodes.")
@click.option("--gpus", metavar="N", default=1, help="Number of GPUs per node, each with its own process.")
@click.option(
    "--output", metavar="DIR", type=PATH, required=True, help="Output folder of the run, visible to all nodes."
)
@click.option("--time", metavar="HH:MM:SS", default="24:00:00", help="Time limit of the job.")
@click.option("--partition", metavar="NAME", default="", help="Partition of the job.", show_default="Slurm's default")
@change_option
@max_restarts_option
@json_option
@trust_option
def slurm(
    file: Path,
    overrides: tuple[str, ...],
    nodes: int,
    gpus: int,
    output: Path,
    time: str,
    partition: str,
    change: bool,
    max_restarts: int,
    as_json: bool,
    trust: tuple[str, ...],
) -> None:
    """Print a Slurm batch script for multi-node training.

    Write it to a file and submit it: `distill slurm FILE … > job.sbatch`. A job that reaches its time limit saves a
    checkpoint and requeues itself. --json prints the script and the output folder.
    """
    if nodes < 1 or gpus < 1:
        refuse(f"--nodes and --gpus must be at least 1, got {nodes} and {gpus}")
    script = slurm_script(
        file,
        overrides,
        nodes=nodes,
        gpus=gpus,
        output=output,
        time=time,
        partition=partition,
        change=change,
        max_restarts=max_restarts,
        trust=trust,
    )
    print(json.dumps({"script": script, "output": str(output)}, indent=1) if as_json else script.removesuffix("\n"))


def slurm_script(
    file: Path,
    overrides: Sequence[str],
    *,
    nodes: int,
    gpus: int,
    output: Path,
    time: str,
    partition: str,
    change: bool,
    trust: Sequence[str],
    max_restarts: int = 0,
) -> str:
    """Return a batch script; a run that reaches its time limit saves a checkpoint and is queued again."""
    torchrun = shlex.join([*TORCHRUN, f"--nnodes={nodes}", f"--nproc-per-node={gpus}", *restarts(max_restarts)])
    words = shlex.join(run_words(file, overrides, output, resume=True, change=change, trust=trust))
    log, results = shlex.quote(str(output / LOG)), shlex.quote(str(output / RESULTS))
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

# Two minutes before the time limit, SIGTERM asks every process to save and stop; the job then requeues itself.
# The port follows from the job, so that two jobs may share a node.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):$((10000 + SLURM_JOB_ID % 20000))
srun python {torchrun} \\
    --rdzv-id="$SLURM_JOB_ID-${{SLURM_RESTART_COUNT:-0}}" --rdzv-backend=c10d --rdzv-endpoint="$first" \\
    -m distill_core {words}
code=$?
if [ ! -f {results} ] && tail -n 1 {log} | grep -q "^stopped at step"; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""
