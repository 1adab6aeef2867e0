from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys

import pytest

from distill_core.errors import TrainingError
from distill_core.train._lock import FolderLock

HOLD = """
import sys, time
from pathlib import Path
from distill_core.train._lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_run_is_told_who_holds_the_folder_and_a_dead_one_holds_nothing(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(TrainingError) as error:
        FolderLock(tmp_path).acquire()
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))} is locked by process {holder.pid} on {re.escape(platform.node())} since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n  hint: wait for that run, stop it, or use another folder",
        str(error.value),
    )
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    lock = FolderLock(tmp_path)
    lock.acquire()
    assert f"process {os.getpid()} " in (tmp_path / ".lock-holder").read_text()
    lock.release()
    lock.release()
    FolderLock(tmp_path).acquire()


FORK = """
import os, sys, time
from pathlib import Path
from distill_core.train._lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
if os.fork() == 0:
    print("held", flush=True)
    time.sleep(20)
    os._exit(0)
time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_that_outlives_a_killed_run_does_not_hold_the_folder(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", FORK, str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()
    os.killpg(holder.pid, signal.SIGKILL)
    holder.stdout.close()
