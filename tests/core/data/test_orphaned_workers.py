"""A worker ends with the process that started it, even if that process is killed while the worker starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CODE = """
import os, signal, sys, time
from pathlib import Path
from distill_core.data import Loader, WorkerOptions


class Samples:
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return index


def kill_the_parent(worker):
    parent = os.getppid()
    Path(sys.argv[1]).write_text(str(os.getpid()))
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.01)


if __name__ == "__main__":
    options = WorkerOptions(worker_init_fn=kill_the_parent, multiprocessing_context=sys.argv[2])
    next(iter(Loader(Samples(), 2, num_workers=1, workers=options)))
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="reads the state of processes from /proc")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_whose_parent_dies_while_it_starts_ends(tmp_path, method):
    script, noted = tmp_path / "run.py", tmp_path / "pid"
    script.write_text(CODE)
    with (tmp_path / "errors").open("w") as errors:  # not a pipe, which the worker would keep open
        done = subprocess.run([sys.executable, script, noted, method], stderr=errors, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, (tmp_path / "errors").read_text()
    pid, until = int(noted.read_text()), time.monotonic() + 30
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.1)
    if is_running(pid):
        os.kill(pid, signal.SIGKILL)
        pytest.fail("the worker outlives the process that started it")
