"""Each sample and each token counts the same, however batches are accumulated and spread over processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill_core.data import BatchPlan
from distill_core.experiment import Term
from distill_core.train._shares import Shares

from .shares import Sequences, train

SCRIPT = Path(__file__).parent / "shares.py"


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, str(folder)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


def assert_same(weights, expected):
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_accumulated_batches_are_one_large_batch(batch_size):
    """Means over tokens and a mean over samples in one objective; the last window has three samples."""
    terms = ("ce", "kl", "pooled")
    assert_same(train(batch_size, 8 // batch_size, *terms), train(8, 1, *terms))


def test_the_counts_decide():
    """Without them the same batches give something else: the tests above can fail."""
    counted = train(2, 4, "ce")
    Sequences.num_tokens = property(lambda self: None, lambda self, value: None)
    try:
        uncounted = train(2, 4, "ce")
    finally:
        del Sequences.num_tokens
    assert not torch.allclose(counted["1.weight"], uncounted["1.weight"], rtol=1e-3)


def test_two_processes_are_one(two_processes):
    """With a loss of the whole batch, too; the last batch is split into two samples and one."""
    expected = train(8, 1, "ce", "kl", "pooled", "flat")
    assert_same(load_file(two_processes / "halves.safetensors"), expected)


def test_two_processes_that_accumulate_are_one(two_processes):
    assert_same(load_file(two_processes / "quarters.safetensors"), train(8, 1, "ce", "kl", "pooled"))


def test_one_number_where_all_terms_agree_and_one_each_where_not():
    class Tokens(torch.nn.Module):
        batch = "token"

    terms = {"a": Term(loss=Tokens(), inputs={}), "b": Term(loss=torch.nn.MSELoss(), inputs={})}
    shares, indices = Shares(terms), [torch.arange(3), torch.arange(3, 4)]
    assert shares.of(BatchPlan(indices, [3, 1], [6, 4]), 0, 1) == 1
    assert shares.of(BatchPlan(indices, [3, 1]), 0, 2) == 0.75
    assert shares.of(BatchPlan(indices, [3, 1], [6, 4]), 1, 2) == {"a": 0.4, "b": 0.25}
    assert shares.of(BatchPlan(indices, [3, 1], [0, 0]), 1, 2) == 0.25
