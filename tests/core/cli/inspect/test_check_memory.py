"""`distill check --deep --memory --processes N`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from distill_core.cli.inspect._check import check

FILE = """
models:
  student: !import_call:torch.nn.Linear [4, 8]
data:
  train: !import_call:distill_core.data.Loader
    dataset: !import_call:torch.utils.data.TensorDataset
      - !import_call:torch.zeros [8, 4]
      - !import_call:torch.arange [8]
    batch_size: 4
stages:
- epochs: 1
  optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
  losses: {ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student, target: batch.target}}}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(FILE)
    return str(path)


def test_memory_of_two_processes_by_part(file):
    done = CliRunner().invoke(check, [file, "--deep", "--memory", "--processes", "2"])
    assert done.exit_code == 0, done.output
    assert "memory of a step of stage 1, on each of 2 processes" in done.output
    assert "  optimizer           0.00 MiB\n" in done.output


def test_memory_needs_deep(file):
    done = CliRunner().invoke(check, [file, "--memory"])
    assert done.exit_code != 0
    assert "--memory needs --deep" in done.output
