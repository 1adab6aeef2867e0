"""What happens to one process of several is the end of all, with a reason on each."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "ranks.py"
HINT = "\n  hint: a lower learning rate, clip_grad_norm, or `nonfinite: skip`"


@pytest.fixture(scope="module")
def ended():
    """How both processes ended, for each accident; all of them in one process that has imported torch once."""
    accidents = ["none", "raises", "killed", "hangs", "nan", "nan-sharded", "loss"]
    accidents += [f"nan-statistics-{policy}" for policy in ("stop", "skip", "rollback")]
    done = subprocess.run([sys.executable, str(SCRIPT), *accidents], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_an_accident_both_come_to_the_end(ended):
    assert [process["code"] for process in ended["none"]] == [0, 0]


def test_a_process_that_fails_tells_the_other_why(ended):
    first, second = (process["said"] for process in ended["raises"])
    reason = "OSError: cannot identify image file 'cat.jpg'\nwhile reading sample 11 of Samples"
    assert second == reason
    assert first == f"PeerError: process 1 has ended: {reason}"


def test_a_process_that_is_killed_leaves_no_reason_and_the_other_says_so(ended):
    first, second = ended["killed"]
    assert second["code"] == signal.SIGKILL
    assert re.fullmatch(
        r"PeerError: another process has ended or hangs, and left no reason \(it may have been killed\): .+\n"
        r"  hint: look at the output of the other processes, then resume with --resume",
        first["said"],
    )


def test_nobody_waits_longer_than_the_timeout(ended):
    """Four seconds in the experiment; starting, and waiting for a reason, take the rest."""
    first = ended["hangs"][0]
    assert "Timed out waiting 4000ms" in first["said"]
    assert first["seconds"] < 25


@pytest.mark.parametrize("accident", ["nan", "nan-sharded"])
def test_a_gradient_that_is_not_finite_on_one_stops_both_before_the_update(ended, accident):
    start = (
        "TrainingError: stage 0, epoch 1, batch 2: the gradients or buffers are not finite; the update was withheld\n"
    )
    first, second = (process["said"] for process in ended[accident])
    assert re.fullmatch(
        re.escape(start) + r"  losses: ce 0\.\d+\n  samples of process 0: 8, 9" + re.escape(HINT), first
    )
    assert second == start + "  losses: ce nan\n  samples of process 1: 10, 11" + HINT


@pytest.mark.parametrize("policy", ["stop", "skip", "rollback"])
def test_statistics_that_are_not_finite_on_one_are_put_back_on_both(ended, policy):
    """Each process proves its own model, its average and all checkpoints."""
    both = ended[f"nan-statistics-{policy}"]
    start = (
        "TrainingError: stage 0, epoch 1, batch 2: the gradients or buffers are not finite; the update was withheld\n"
    )
    for process in both:
        assert process["said"].startswith(start) if policy == "stop" else process["said"] == ""
        assert process["code"] == (256 if policy == "stop" else 0)


def test_a_loss_that_is_not_finite_on_one_stops_both(ended):
    first, second = (process["said"] for process in ended["loss"])
    assert first == f"TrainingError: stage 0, epoch 1: a loss of another process is not finite{HINT}"
    assert second == (
        "TrainingError: stage 0, epoch 1, batch 2: the loss is not finite\n"
        "  losses: ce inf\n  samples of process 1: 10, 11\n"
        "  hint: ce is infinite: where logits hold −∞, rule out the same classes in student and teacher; "
        "or lower the learning rate"
    )
