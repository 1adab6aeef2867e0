"""`command.txt`: the command that repeats a run."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from distill_core.cli import run_experiment
from distill_core.cli.run._command_line import command_of

TRUST = ("--trust", "toy")


def test_the_recorded_command_repeats_the_run(toy, distill):
    assert distill("run", toy, "about=it's mine; $HOME", "stages.0.epochs=1", "--output", "my runs/a", *TRUST).code == 0
    line = Path("my runs/a/command.txt").read_text()
    weights = Path("my runs/a/student.safetensors").read_bytes()
    shutil.rmtree("my runs")
    script = 'distill() { "$PYTHON" -m distill_core "$@"; }; ' + line
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path.cwd())])}
    subprocess.run(["sh", "-c", script], check=True, capture_output=True, env=environment)
    assert Path("my runs/a/command.txt").read_text() == line
    assert Path("my runs/a/student.safetensors").read_bytes() == weights


def test_the_recorded_command_of_a_run_from_python_names_what_it_lacks(toy):
    import toy as module

    run_experiment(
        toy, ["stages.0.epochs=1"], output="out", trust=["toy"], quiet=True, callbacks=[module.Interrupt(epoch=9)]
    )
    assert Path("out/command.txt").read_text().splitlines() == [
        "distill run small/toy.yaml stages.0.epochs=1 --output out --trust toy",
        "# run_experiment in Python added callbacks, which this command lacks: Interrupt",
    ]


def test_the_recorded_command_of_several_processes_starts_as_many(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    start = functools.partial(command_of, Path("kd.yaml"), [], Path("out"), num_processes=2)
    assert start(environment={"LOCAL_WORLD_SIZE": "2"}) == [
        *"distill launch kd.yaml --output out --processes 2".split()
    ]
    assert start(environment={"LOCAL_WORLD_SIZE": "1"}) == [*"distill run kd.yaml --output out".split()]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert start(environment={"LOCAL_WORLD_SIZE": "2"})[-2:] == ["--gpus", "2"]
