"""Fused optimizers are chosen by default, and change nothing but the time."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW

from distill_core.layers import _ruled_out
from distill_core.train import Callback, Stage, Trainer, _kept_buffers
from distill_core.train.step._optimizer import make_optimizer


class Watch(Callback):
    def __init__(self):
        self.fused = []

    def on_epoch_end(self, trainer):
        self.fused.append(trainer.run.optimizer.param_groups[0]["fused"])


def parameters(*kinds):
    return [{"params": [nn.Parameter(torch.zeros(2, dtype=kind)) for kind in kinds or (torch.float32,)]}]


@pytest.mark.parametrize(
    "make",
    [
        SGD,
        Adam,
        AdamW,
        partial(SGD, lr=0.1, momentum=0.9, nesterov=True),
        partial(Adam, lr=0.1, amsgrad=True),
        partial(AdamW, lr=0.1, maximize=True),
    ],
)
def test_fused_by_default(make):
    optimizer = make_optimizer(make, parameters(torch.float32, torch.bfloat16))
    assert optimizer.defaults["fused"] is True


@pytest.mark.parametrize(
    ("make", "groups"),
    [
        (partial(SGD, lr=0.1, fused=False), parameters()),
        (partial(Adam, foreach=True), parameters()),
        (partial(AdamW, differentiable=True), parameters()),
        (Adam, [parameters()[0] | {"foreach": False}]),
        (Adam, parameters(torch.complex64)),
        (partial(Adagrad, lr=0.1), parameters()),
        (lambda groups: SGD(groups, lr=0.1), parameters()),
        (type("OwnAdam", (Adam,), {}), parameters()),
    ],
    ids=["fused", "foreach", "differentiable", "group", "complex", "Adagrad", "function", "subclass"],
)
def test_left_as_it_is(make, groups):
    assert not make_optimizer(make, groups).param_groups[0]["fused"]


@pytest.mark.parametrize(
    "make",
    [
        partial(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        partial(SGD, lr=0.1, momentum=0.9, dampening=0.5),
        partial(Adam, lr=0.01, weight_decay=0.01, amsgrad=True),
        partial(AdamW, lr=0.01, weight_decay=0.1),
    ],
    ids=["nesterov", "dampening", "amsgrad", "AdamW"],
)
def test_same_weights_after_a_run(experiment, make):
    students = []
    for options in ({}, {"fused": False, "foreach": False}):
        # Not the first layer: before a batch norm its bias has gradients of rounding errors, which Adam makes large.
        stage = Stage(optimizer=partial(make, **options), train=["student.1", "student.4"])
        run = experiment(stages=[stage.after(experiment().stages[0])], callbacks=())
        watch = Watch()
        Trainer(run, callbacks=[watch]).fit()
        assert watch.fused == [not options] * 2
        students.append(run.models["student"].state_dict())
    torch.testing.assert_close(*students, rtol=1e-4, atol=1e-6)


def test_no_wait_for_the_host_with_a_fused_optimizer(experiment, monkeypatch):
    """The flag of a number that is not finite is read at log lines only; the first step looks for ruled-out classes."""
    reads = []
    monkeypatch.setattr(_ruled_out, "can_look", lambda tensor: False)  # this and the next as on an accelerator
    monkeypatch.setattr(_kept_buffers, "_host_knows", lambda device: False)
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda tensor: bool(reads.append(1)) or tensor.item() != 0)
    for options, expected in (({}, 0), ({"fused": False}, 14)):
        reads.clear()
        stage = Stage(optimizer=partial(SGD, lr=0.1, **options)).after(experiment().stages[0])
        Trainer(experiment(stages=[stage], callbacks=(), log_every=100)).fit()
        assert len(reads) == expected
