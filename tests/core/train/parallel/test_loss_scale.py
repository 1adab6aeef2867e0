"""Each sample and each token counts the same, however batches are accumulated and spread over processes."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from distill_core.data import BatchPlan, Loader
from distill_core.errors import WiringError
from distill_core.experiment import Term
from distill_core.losses import TokenCELoss
from distill_core.train import Callback, Experiment, Stage, Trainer
from distill_core.train.step._loss_scale import LossScales

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
    """LossMeter over tokens and a mean over samples in one objective; the last window has three samples."""
    terms = ("ce", "kl", "pooled")
    assert_same(train(batch_size, 8 // batch_size, *terms), train(8, 1, *terms))


def test_the_counts_decide(monkeypatch):
    """By samples the same batches give something else: the tests above can fail."""
    counted = train(2, 4, "ce")
    monkeypatch.setattr(TokenCELoss, "count", staticmethod(lambda target: None))
    assert not torch.allclose(counted["1.weight"], train(2, 4, "ce")["1.weight"], rtol=1e-3)


def test_two_processes_are_one(two_processes):
    """With a loss of the whole batch, too; the last batch is split into two samples and one."""
    expected = train(8, 1, "ce", "kl", "pooled", "flat")
    assert_same(load_file(two_processes / "halves.safetensors"), expected)


def test_two_processes_that_accumulate_are_one(two_processes):
    assert_same(load_file(two_processes / "quarters.safetensors"), train(8, 1, "ce", "kl", "pooled"))


def test_one_number_where_all_terms_agree_and_one_each_where_not():
    terms = {
        "a": Term(loss=torch.nn.MSELoss(), inputs={}),
        "b": Term(loss=torch.nn.MSELoss(reduction="sum"), inputs={}),
    }
    shares, plan = LossScales(terms), BatchPlan([torch.arange(3), torch.arange(3, 4)], [3, 1])
    assert shares.planned(plan, 0, 1).gradient == 1
    assert LossScales({"a": terms["a"]}).planned(plan, 0, 2).gradient == 0.75
    assert shares.planned(plan, 1, 2).gradient == {"a": 0.25, "b": 1.0}
    assert shares.planned(plan, 1, 2).logged == {"a": 1.0, "b": 4.0}


def test_batches_are_read_ahead_only_where_a_count_is_needed():
    plan = BatchPlan([torch.arange(2), torch.arange(2, 4)] * 2, [2] * 4)
    target = {"input": "student", "target": "batch.target"}
    for loss, accumulate, expected in [(torch.nn.CrossEntropyLoss(), 2, 2), (torch.nn.CrossEntropyLoss(), 1, 1),
                                       (torch.nn.CrossEntropyLoss(reduction="sum"), 2, 1)]:  # fmt: skip
        read = []

        def batches(read=read):
            for number in range(4):
                read.append(number)
                yield {"target": torch.zeros(2, dtype=torch.long)}

        shares = LossScales({"ce": Term(loss=loss, inputs=target)})
        next(shares.of_batches(batches(), plan, 0, accumulate, before=None))
        assert len(read) == expected


class Marks(torch.nn.Module):
    """A frozen model that draws which tokens count, as one that writes texts itself does."""

    def __init__(self):
        super().__init__()
        self.runs = 0

    def forward(self, target):
        self.runs += 1
        return {"mask": (target != -100) & (target % 3 > 0)}


def with_marks(batch_size, accumulate):
    torch.manual_seed(0)
    student = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 9)).double()
    marks, inputs = Marks(), {"student": "student", "target": "batch.target"}
    losses = {
        "all": Term(loss=TokenCELoss(), inputs=inputs),
        "some": Term(loss=TokenCELoss(), inputs={**inputs, "mask": "marks:out.mask"}, weight=0.5),
    }
    logs = []

    class Log(Callback):
        def on_log(self, trainer, record):
            logs.append(record["losses"])

    stage = Stage(
        epochs=1, losses=losses, optimizer=partial(torch.optim.SGD, lr=0.5), accumulate=accumulate,
        feed={"marks": {"target": "batch.target"}},
    )  # fmt: skip
    experiment = Experiment(
        models={"marks": marks, "student": student}, data={"train": Loader(Sequences(), batch_size)}, stages=[stage],
        callbacks=[Log()], log_every=1,
    )  # fmt: skip
    Trainer(experiment).fit()
    return student[1].weight.detach(), logs, marks.runs


@pytest.mark.parametrize(("batch_size", "accumulate"), [(1, 8), (2, 4), (4, 2)])
def test_a_mask_that_a_frozen_model_gives_is_counted_before_the_step(batch_size, accumulate):
    weight, logs, runs = with_marks(batch_size, accumulate)
    expected, expected_logs, _ = with_marks(8, 1)
    torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)
    for found, wanted in zip(logs, expected_logs, strict=True):
        assert found == pytest.approx(wanted, abs=1e-6)
    assert runs == with_marks(batch_size, 1)[2]  # not once more for the count


@pytest.mark.parametrize("scope", ["sample", "gathered", "token", "local", "unknown"])
def test_the_old_name_of_the_reduction_scope_is_refused(scope):
    class Old(nn.Module):
        batch = scope

        def forward(self, student):
            return student.mean()

    with pytest.raises(WiringError) as error:
        LossScales({"kd": Term(loss=Old(), inputs={"student": "student"})})
    assert str(error.value) == (
        f"losses.kd: Old declares `batch = '{scope}'`, which is called `reduction_scope`\n"
        f"  hint: write `reduction_scope = '{scope}'` in the class"
    )


@pytest.mark.parametrize("value", [8, None, "mean"])
def test_another_attribute_named_batch_is_accepted(value):
    class Mine(nn.Module):
        batch = value

        def forward(self, student):
            return student.mean()

    LossScales({"kd": Term(loss=Mine(), inputs={"student": "student"})})
