from __future__ import annotations

import pytest

SETTINGS = """
import os
from functools import partial
import torch
from torch import nn
from distill_core.data import Loader, TensorData
from distill_core.train import Callback, Experiment, Stage, Term, Trainer


class Look(Callback):
    def on_step_end(self, trainer):
        if trainer.state.step == 1:
            print(
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
                torch.backends.cudnn.benchmark,
                os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
            )


torch.backends.cudnn.benchmark = True
data = Loader(TensorData({"input": torch.randn(8, 4), "target": torch.zeros(8, dtype=torch.long)}), 4)
ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
stage = Stage(epochs=1, losses={"ce": ce}, optimizer=partial(torch.optim.SGD, lr=0.1))
Trainer(
    Experiment(
        models={"student": nn.Linear(4, 2)}, data={"train": data}, stages=[stage], callbacks=[Look()],
        deterministic=DETERMINISTIC,
    )
).fit()
"""


@pytest.mark.parametrize(
    ("deterministic", "settings"), [(True, "True False False :4096:8\n"), (False, "False False True None\n")]
)
def test_deterministic_sets_what_torch_needs(python, monkeypatch, deterministic, settings):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert python(SETTINGS.replace("DETERMINISTIC", str(deterministic))).stdout == settings
