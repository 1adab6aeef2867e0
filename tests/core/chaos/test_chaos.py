"""A run that is killed again and again, any rank at any point, ends bit for bit where the undisturbed one does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .runs import groups, has_state, stateful_losses


def torment(root, folder, kills, *options, timeout):
    command = [sys.executable, "-m", "tests.core.chaos", str(folder), "--kills", str(kills), *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["instant"] + counts["access"] == counts["kills"] == kills
    assert all(counts[f"kills of {processes} processes"] for processes in (1, 2, 3))
    return counts


def test_killed_runs_end_where_the_undisturbed_one_does(root, tmp_path):
    """One to three processes, each life with 0, 2 or 4 workers; half of the deaths are at an access to the run's folder."""
    counts = torment(root, tmp_path, 30, "--groups", "0", timeout=400)
    assert counts["alone"] >= 1
    assert any(counts.get(f"access of rank {rank}") for rank in (1, 2))


@pytest.mark.slow
def test_five_hundred_kills(root, tmp_path):
    counts = torment(root, tmp_path, 500, "--seed", "1", timeout=7200)
    assert counts["losses"] == sorted(stateful_losses())


def test_every_loss_with_state_is_in_one_group():
    assert sorted(name for group in groups() for name in group) == sorted(stateful_losses())
    assert all(has_state(make()[0]) for make in stateful_losses().values())
