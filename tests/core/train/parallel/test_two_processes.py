"""Two processes give what one gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).parent / "two_processes.py"


def train(folder, processes, batch_size, parallel="ddp", stop=0, decay=0.01):
    folder.mkdir(exist_ok=True)
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, *launch, str(SCRIPT), str(folder), str(batch_size), parallel, str(stop), str(decay)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    if stop:
        return None
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return load_file(folder / "final.safetensors"), json.loads((folder / "summary.json").read_text()), lines


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return *train(folder, 1, 8), folder


def assert_the_same(run, expected):
    """Weights, the average, metrics over 13 samples, and every line of the log."""
    weights, last, lines = run
    for name, tensor in expected[0].items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-6)
    assert last == expected[1]
    for first, second in zip(expected[2], lines, strict=True):
        assert (first["stage"], first["epoch"], first["step"], first["split"]) == (
            second["stage"], second["epoch"], second["step"], second["split"],
        )  # fmt: skip
        if first["split"] == "train":
            torch.testing.assert_close(first["loss"], second["loss"], rtol=1e-4, atol=1e-6)


def test_two_processes_equal_one(tmp_path, one):
    """Uneven last batches, accumulation, clipping, a layer that no loss reaches, a lazy loss shared by two stages."""
    folder = tmp_path / "two"
    assert_the_same(train(folder, 2, 4), one)
    drawn = [
        load_file(one[3] / "drawn-0.safetensors"),
        *(load_file(folder / f"drawn-{rank}.safetensors") for rank in (0, 1)),
    ]
    assert all(torch.equal(values[name], drawn[0][name]) for values in drawn for name in ("map.weight", "map.bias"))


def test_a_sharded_teacher_beside_a_student_that_is_whole(tmp_path, one):
    assert_the_same(train(tmp_path / "teacher", 2, 4, "fsdp-teacher"), one)


def test_sharded_student_and_teacher_equal_one_process_and_resume(tmp_path, one):
    """FSDP2; checkpoints and weights in files are whole, so nothing in them says how the run was spread."""
    whole = train(tmp_path / "whole", 2, 4, "fsdp")
    assert_the_same(whole, one)
    train(tmp_path / "stopped", 2, 4, "fsdp", stop=8)
    resumed = train(tmp_path / "stopped", 2, 4, "fsdp")
    assert all(torch.equal(tensor, resumed[0][name]) for name, tensor in whole[0].items())
    assert resumed[1] == whole[1]


@pytest.mark.slow
def test_gradients_and_state_spread_by_deepspeed_equal_one_process_and_resume(tmp_path):
    """ZeRO, stage 2: `hatch run deepspeed:test` has the package. Its zero gradients would let weight decay act."""
    whole = train(tmp_path / "whole", 2, 4, "deepspeed", decay=0)
    assert_the_same(whole, train(tmp_path / "one", 1, 8, "deepspeed", decay=0))
    train(tmp_path / "stopped", 2, 4, "deepspeed", stop=8, decay=0)
    resumed = train(tmp_path / "stopped", 2, 4, "deepspeed", decay=0)
    assert all(torch.equal(tensor, resumed[0][name]) for name, tensor in whole[0].items())
    assert resumed[1] == whole[1]
