"""The commands that start several processes, by their text; `test_stop.py` starts two for real."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from distill_core.cli._ranks import ERROR_FILE, ending_of, leave_reason
from distill_core.cli._ranks import main as launch_ranks

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


def test_restarts_are_those_of_torchrun(toy, distill):
    words = ["--output", "out", "--resume", "--max-restarts", 3]
    launched = distill("launch", "--gpus", 2, toy, *words, "--dry-run").out
    assert "--standalone --nproc-per-node=2 --max-restarts=3 -m distill_core run" in launched
    queued = distill("slurm", toy, "--output", "out", "--max-restarts", 3).out
    assert "--nnodes=1 --nproc-per-node=1 --max-restarts=3 \\\n" in queued


@pytest.mark.parametrize(("words", "value"), [(["--max-restarts=1"], "1"), (["--standalone"], None)])
def test_restarted_processes_get_a_new_store(monkeypatch, words, value):
    """Otherwise they connect to processes that have ended: https://github.com/pytorch/pytorch/issues/167288"""
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "")
    monkeypatch.delenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE")
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setattr("torch.distributed.run.main", lambda words: None)
    monkeypatch.setattr(sys, "argv", ["torchrun", *words])
    launch_ranks()
    assert os.environ.get("TORCH_DISABLE_SHARE_RDZV_TCP_STORE") == value


def test_processes_on_the_cpu_see_no_gpu_and_get_one_folder_together(toy, distill):
    ended = distill("launch", toy, "--processes", 2, "--dry-run")
    words = shlex.split(ended.out)
    assert words[:7] == ["CUDA_VISIBLE_DEVICES=", *TORCHRUN, "--nproc-per-node=2"]
    assert words[-2] == "--output"
    assert words[-1].startswith("runs/small/toy/")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [],
            "one of --gpus and --processes is required\n  hint: add --gpus N, or --processes N for processes on the CPU\n",
        ),
        (
            ["--gpus", 2, "--processes", 2],
            "one of --gpus and --processes is required\n  hint: add --gpus N, or --processes N for processes on the CPU\n",
        ),
        (["--gpus", 0], "the number of processes must be at least 1, got 0\n"),
        (
            ["--gpus", 2, "--max-restarts", 1],
            "--max-restarts requires --resume\n  hint: add --resume and --output DIR\n",
        ),
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

# Two minutes before the time limit, SIGTERM asks every process to save and stop; the job then requeues itself.
# The port follows from the job, so that two jobs may share a node.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):$((10000 + SLURM_JOB_ID % 20000))
srun python -P -m distill_core.cli._ranks --nnodes=2 --nproc-per-node=8 \\
    --rdzv-id="$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}" --rdzv-backend=c10d --rdzv-endpoint="$first" \\
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


def test_a_batch_script_passes_change_along(toy, distill):
    assert " --output out --resume --change\n" in distill("slurm", toy, "--output", "out", "--change").out


def test_a_stopped_job_queues_itself_again_and_a_finished_one_does_not(toy, distill, tmp_path):
    """The script itself, with stand-ins for Slurm's commands."""
    (tmp_path / "bin").mkdir()
    for name, body in {
        "scontrol": 'echo "$@" >> asked; echo node1; echo node2',
        "srun": 'mkdir -p out; echo "$@" > ran; echo "stopped at step 7 on request" >> out/log.txt; exit 1',
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
    assert "--rdzv-id=42-0 --rdzv-backend=c10d --rdzv-endpoint=node1:10042" in Path("ran").read_text()
    Path("out/results.json").write_text("{}")
    subprocess.run(["bash", "job.sbatch"], env=environment)
    assert Path("asked").read_text().count("requeue") == 1


def test_a_job_needs_its_folder_and_a_gpu(toy, distill):
    assert distill("slurm", toy).code == 2
    ended = distill("slurm", toy, "--gpus", 0, "--output", "out")
    assert ended == (2, "", "--nodes and --gpus must be at least 1, got 1 and 0\n")


FAILING = """
import os
from distill_core.errors import DataError
from distill_core.train import Callback

class Failing(Callback):
    def on_step_end(self, trainer) -> None:
        if os.environ["RANK"] == "1" and trainer.state.step == 2:
            raise DataError("sample 7 is broken\\n  hint: mend it")
"""


def test_the_reason_of_a_failed_process_is_printed_last(toy):
    Path("failing.py").write_text(FAILING)
    toy.write_text(toy.read_text().replace("callbacks:\n", "callbacks:\n  - !import_call:failing.Failing {}\n"))
    paths = [".", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    words = ["launch", toy, "--processes", 2, "--output", "out", "--trust", "toy", "--trust", "failing"]
    done = subprocess.run(
        [sys.executable, "-m", "distill_core", *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == ["process 1 failed: sample 7 is broken", "  hint: mend it"]
    assert "Traceback" not in done.stderr


@pytest.fixture
def failure(tmp_path, monkeypatch):
    """A process as torchrun sees it after its end."""
    errors = pytest.importorskip("torch.distributed.elastic.multiprocessing.errors")

    def make(rank, exit_code, reason="", *, is_secondhand=False):
        file = tmp_path / f"{rank}.json"
        if reason:
            monkeypatch.setenv(ERROR_FILE, str(file))
            leave_reason(reason, is_secondhand=is_secondhand)
            data = json.loads(file.read_text())
            data["message"]["extraInfo"]["timestamp"] = str(rank)  # the lower rank was first
            file.write_text(json.dumps(data))
        return errors.ProcessFailure(rank, 1000 + rank, exit_code, str(file))

    return make


@pytest.mark.parametrize(
    ("endings", "rank", "exit_code", "reason"),
    [
        ([(1, "another process has ended", True), (2, "a bad file")], 1, 2, "a bad file"),
        (
            [(1, "another process has ended", True), (-9,)],
            1,
            1,
            "killed by SIGKILL\n  hint: resume the run with --resume",
        ),
        ([(-15,), (1, "a bad file"), (1, "another bad file")], 1, 1, "a bad file"),
        ([(-15,), (7,)], 1, 7, "exit code 7 without a reason"),
        ([(-15,), (1, "another process has ended", True)], 1, 1, "another process has ended"),
    ],
)
def test_the_first_cause_is_the_reason(failure, endings, rank, exit_code, reason):
    failures = [
        failure(number, code, *text[:1], is_secondhand=len(text) > 1) for number, (code, *text) in enumerate(endings)
    ]
    first = min(ending_of(number, each) for number, each in enumerate(failures))
    assert (first.rank, first.exit_code, first.reason) == (rank, exit_code, reason)


def test_a_process_that_torchrun_did_not_start_leaves_no_reason(tmp_path, monkeypatch):
    monkeypatch.delenv(ERROR_FILE, raising=False)
    leave_reason("nothing")
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "absent/error.json"))
    leave_reason("nothing")
    assert list(tmp_path.iterdir()) == []
