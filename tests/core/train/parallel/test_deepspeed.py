"""What `parallel: deepspeed` says where it cannot be; what it does stands in test_two_processes.py."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from distill_core.errors import TrainingError
from distill_core.train._kept_buffers import KeptBuffers
from distill_core.train.parallel._deepspeed import ZeroEngine


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepspeed", None)  # as if it were not installed
    module = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    with pytest.raises(TrainingError) as raised:
        ZeroEngine(
            module, module.parameters(), optimizer, clip_grad_norm=None, buffers=KeptBuffers(module), sticky=True
        )
    assert str(raised.value) == (
        "parallel: deepspeed needs the package deepspeed, which is not installed\n"
        "  hint: pip install 'distill-core[deepspeed]', or parallel: fsdp"
    )
