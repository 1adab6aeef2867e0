"""The commands that start several processes, by their text; `test_stop.py` starts two for real."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TORCHRUN = [sys.executable, "-P", "-m", "distill_core.cli._ranks", "--standalone"]


def test_a_launch_on_gpus_is_torchrun_with_the_same_file(toy, distill):
    words = ["seed=4", "--output", "out", "--trust", "toy", "--resume"]
    ended = distill("launch", "--gpus", 4, toy, *words, "--dry-run")
    assert ended.code == 0
    assert shlex.split(ended.out) == [
        *TORCHRUN, "--nproc-per-node=4", "-m", "distill_core",
        "run", str(toy), "seed=4", "--output", "out", "--resume", "--trust", "toy",
    ]  # fmt: skip
    assert not Path("out").exists()


def test_processes_on_the_cpu_see_no_gpu_and_get_one_folder_together(toy, distill):
    ended = distill("launch", toy, "--processes", 2, "--dry-run")
    words = shlex.split(ended.out)
    assert words[:7] == ["CUDA_VISIBLE_DEVICES=", *TORCHRUN, "--nproc-per-node=2"]
    assert words[-2] == "--output"
    assert words[-1].startswith("runs/small/toy/")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "how many processes?\n  hint: give --gpus N, or --processes N for processes on the CPU\n"),
        (
            ["--gpus", 2, "--processes", 2],
            "how many processes?\n  hint: give --gpus N, or --processes N for processes on the CPU\n",
        ),
        (["--gpus", 0], "a run has at least one process, not 0\n"),
    ],
)
def test_a_launch_without_a_number_is_refused(toy, distill, words, message):
    assert distill("launch", toy, *words) == (2, "", message)


SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=distill-toy
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=12:00:00
#SBATCH --partition=long
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

# Two minutes before the time is over every process is told to save and stop; the job then queues itself again.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun python -P -m distill_core.cli._ranks --nnodes=2 --nproc-per-node=8 \\
    --rdzv-id="$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}" --rdzv-backend=c10d --rdzv-endpoint="$first:29500" \\
    -m distill_core run small/toy.yaml 'about=two words' --output out --resume --trust toy
code=$?
if [ ! -f out/results.json ] && tail -n 1 out/log.txt | grep -q "^stopped at step"; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""


def test_a_batch_script_for_slurm(toy, distill):
    words = ["--nodes", 2, "--gpus", 8, "--time", "12:00:00", "--partition", "long", "--output", "out"]
    ended = distill("slurm", toy, "about=two words", *words, "--trust", "toy")
    assert ended == (0, SCRIPT, "")


def test_a_stopped_job_queues_itself_again_and_a_finished_one_does_not(toy, distill, tmp_path):
    """The script itself, with stand-ins for Slurm's commands."""
    (tmp_path / "bin").mkdir()
    for name, body in {
        "scontrol": 'echo "$@" >> asked; echo node1; echo node2',
        "srun": 'mkdir -p out; echo "$@" > ran; echo "stopped at step 7 as asked" >> out/log.txt; exit 1',
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    Path("job.sbatch").write_text(distill("slurm", toy, "--output", "out").out)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "42",
        "SLURM_JOB_NODELIST": "node[1-2]",
    }
    assert subprocess.run(["bash", "job.sbatch"], env=environment).returncode == 1
    assert Path("asked").read_text() == "show hostnames node[1-2]\nrequeue 42\n"
    assert "--rdzv-id=42-0 --rdzv-backend=c10d --rdzv-endpoint=node1:29500" in Path("ran").read_text()
    Path("out/results.json").write_text("{}")
    subprocess.run(["bash", "job.sbatch"], env=environment)
    assert Path("asked").read_text().count("requeue") == 1


def test_a_job_needs_its_folder_and_a_gpu(toy, distill):
    assert distill("slurm", toy).code == 2
    ended = distill("slurm", toy, "--gpus", 0, "--output", "out")
    assert ended == (2, "", "a job has at least one node and one GPU, not 1 and 0\n")
