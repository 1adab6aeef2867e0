"""SIGTERM: the run saves at its next step, says how to go on, and ends where the undisturbed one does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

SLOW = """
import time
from distill_core.train import Callback

class Slow(Callback):
    def __init__(self, seconds: float, at: int = 0) -> None:
        self.seconds, self.at = seconds, at

    def on_step_end(self, trainer) -> None:
        if self.at in (0, trainer.state.step):
            time.sleep(self.seconds)
"""
TRUST = ["--trust", "toy", "--trust", "slow"]


@pytest.fixture
def slow(toy):
    """The toy experiment, twenty epochs of three steps, with a callback that takes its time."""
    Path("slow.py").write_text(SLOW)
    text = toy.read_text().replace("epochs: 3", "epochs: 20")
    toy.write_text(text.replace("callbacks:\n", "callbacks:\n  - !import_call:slow.Slow {seconds: 0.1, at: 0}\n"))
    return toy


def start(command, *words):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, *command, *map(str, words), *TRUST]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_lines(folder, process, lines=2):
    end = time.monotonic() + 120
    log = Path(folder) / "metrics.jsonl"
    while not (log.is_file() and len(log.read_text().splitlines()) >= lines):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)


def finish_and_compare(slow, distill, folder):
    """Resume without the delay and compare with a run that was never stopped."""
    resolved = Path(folder) / "config.resolved.yaml"
    resolved.write_text(resolved.read_text().replace("seconds: 0.1", "seconds: 0.0"))
    fast = "callbacks.0.seconds=0.0"
    assert distill("run", slow, fast, "--output", folder, "--resume", *TRUST).code == 0
    assert distill("run", slow, fast, "--output", "whole", *TRUST).code == 0
    whole, resumed = load_file("whole/student.safetensors"), load_file(f"{folder}/student.safetensors")
    assert all((whole[name] == resumed[name]).all() for name in whole)
    results = [json.loads(Path(name, "results.json").read_text()) | {"seconds": 0} for name in ("whole", folder)]
    assert results[0] == results[1]


def test_sigterm_saves_and_says_how_to_go_on(slow, distill):
    process = start(["-m", "distill_core"], "run", slow, "--output", "out")
    wait_for_lines("out", process)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130, error
    stopped, go_on = error.splitlines()[-2:]
    step = int(re.fullmatch(r"stopped at step (\d+) on request", stopped).group(1))
    assert go_on == "resume with: distill run small/toy.yaml --output out --trust toy --trust slow --resume"
    assert Path("out/checkpoints/latest").read_text().startswith(f"step-{step:08d}")
    assert Path("out/log.txt").read_text().endswith(f"{stopped}\n")
    finish_and_compare(slow, distill, "out")


def test_a_second_sigterm_ends_at_once(slow):
    process = start(
        ["-m", "distill_core"], "run", slow, "callbacks.0.seconds=60", "callbacks.0.at=3", "--output", "out"
    )
    wait_for_lines("out", process, 1)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


def test_two_processes_stop_at_the_same_step_and_go_on(slow, distill):
    """Started by `distill launch`, which gives its place to torchrun; torchrun hands the signal on."""
    process = start(["-m", "distill_core", "launch"], slow, "--processes", 2, "--output", "out")
    wait_for_lines("out", process)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=90)[1]
    assert process.returncode != 0
    steps = re.findall(r"stopped at step (\d+) on request", error)
    assert len(steps) == 2
    assert steps[0] == steps[1]
    assert Path("out/checkpoints/latest").read_text().startswith(f"step-{int(steps[0]):08d}")
    resolved = Path("out/config.resolved.yaml")
    resolved.write_text(resolved.read_text().replace("seconds: 0.1", "seconds: 0.0"))
    fast = "callbacks.0.seconds=0.0"
    for words in (["--output", "out", "--resume"], ["--output", "whole"]):
        process = start(["-m", "distill_core", "launch"], slow, fast, "--processes", 2, *words)
        error = process.communicate(timeout=120)[1]
        assert process.returncode == 0, error
    whole, resumed = load_file("whole/student.safetensors"), load_file("out/student.safetensors")
    assert all((whole[name] == resumed[name]).all() for name in whole)
