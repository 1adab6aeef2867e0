"""Every way to start several processes trains what one process trains: real launchers, two processes each."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

TRUST = ["--trust", "toy", "--trust", "dying"]
DYING = """
import os, signal
from distill_core.train import Callback

class Dying(Callback):
    def on_fit_start(self, trainer) -> None:
        if os.environ.get("RANK") == "0":
            with open("starts", "a") as file:
                print(trainer.state.step, file=file)

    def on_step_end(self, trainer) -> None:
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0" and "DIES" in os.environ
        if first and os.environ["RANK"] == "1" and trainer.state.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
RUN = ["-m", "distill_core", "run", "small/toy.yaml", "--output", "out", *TRUST]


@pytest.fixture
def experiment(toy):
    """The toy experiment with a callback that ends a process if it is asked to."""
    Path("dying.py").write_text(DYING)
    toy.write_text(toy.read_text().replace("callbacks:\n", "callbacks:\n  - !import_call:dying.Dying {}\n"))
    return toy


def start(command, **variables):
    """Run a launcher to its end."""
    path = os.pathsep.join([".", *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"} | variables
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def assert_trained_as_by_one_process(experiment, distill):
    """Two batches of 16 are one of 32."""
    one = distill("run", experiment, "+data.train.batch_size=32", "--output", "one", *TRUST)
    assert one.code == 0, one.err
    expected = load_file("one/student.safetensors")
    for name, tensor in load_file("out/student.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "distill_core", "launch", "--processes", "2", *RUN[3:]],
        [*TORCHRUN, *RUN],
        # `--multi_gpu` is its only way to start several processes; without GPUs they use the CPU.
        [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", *RUN],
    ],
    ids=["distill launch", "torchrun", "accelerate launch"],
)
def test_a_launcher_trains_as_one_process(experiment, distill, command):
    start(command)
    assert_trained_as_by_one_process(experiment, distill)


def test_a_killed_process_is_started_again_and_the_run_resumes(experiment, distill):
    """Torchrun ends the other process, too, and starts both again; `--resume` finds the newest checkpoint."""
    words = ["launch", "--processes", "2", "--max-restarts", "1", *RUN[3:], "--resume"]
    start([sys.executable, "-m", "distill_core", *words], DIES="1")
    first, second = Path("starts").read_text().split()
    assert first == "0"
    assert second in {"2", "4"}  # the checkpoint of the second epoch may have been incomplete
    assert_trained_as_by_one_process(experiment, distill)


def test_a_slurm_job_on_two_nodes_trains_as_one_process(experiment, distill, tmp_path):
    """The script itself. Its two nodes are two torchruns on the loopback device."""
    words = ["--nodes", 2, "--gpus", 1, "--output", "out", *TRUST]
    Path("job.sbatch").write_text(distill("slurm", experiment, *words).out)
    (tmp_path / "bin").mkdir()
    for name, body in {
        "scontrol": "echo localhost; echo localhost",
        "srun": 'shift; for node in 1 2; do "$TEST_PYTHON" "$@" & pids+=($!); done; wait ${pids[0]} && wait ${pids[1]}',
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    variables = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "TEST_PYTHON": sys.executable,
        "SLURM_JOB_ID": str(job_id_of_a_free_port()),
        "SLURM_JOB_NODELIST": "node[1-2]",
    }
    start(["bash", "job.sbatch"], **variables)
    assert_trained_as_by_one_process(experiment, distill)


def job_id_of_a_free_port():
    with socket.socket() as probe:
        for number in range(1, 1000):
            try:
                probe.bind(("localhost", 10_000 + number))
            except OSError:
                continue
            return number
    pytest.skip("no port is free")
