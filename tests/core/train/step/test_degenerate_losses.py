"""Losses that have no gradient for the shapes of their inputs are refused, whatever the values are."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from distill_core import losses
from distill_core.data import Loader
from distill_core.errors import WiringError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Checkpoint, Trainer
from distill_core.train.step._degenerate import degenerate


def trainer(models, term, batch_size, **options):
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    stage = Stage(epochs=1, optimizer=partial(torch.optim.SGD, lr=0.1), losses={"ce": ce, "at": term})
    data = Loader(TensorDataset(torch.randn(12, 4), torch.arange(12) % 3), batch_size)
    return Trainer(Experiment(models=models, data={"train": data}, stages=[stage]), **options)


POSITION, SAMPLE = "maps of one position", "a batch of 1 sample"
TOO_SMALL = [
    *((loss, (4, 6, 1, 1), POSITION) for loss in (losses.ATLoss, losses.CWDLoss, losses.NSTLoss)),
    *((loss, (1, 6), SAMPLE) for loss in (losses.SPKDLoss, losses.RKDLoss, losses.PKTLoss, losses.CCKDLoss, losses.ITRDLoss)),
    *((loss, (2, 6), "a batch of 2 samples") for loss in (losses.RKDLoss, losses.PKTLoss)),
    *((loss, (4, 1), "one channel or class") for loss in (losses.DISTLoss, losses.KDLoss)),
    (losses.DISTLoss, (4, 1, 6), "sequences of one token"),
]  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("loss", "shape", "what"), TOO_SMALL)
def test_shapes_for_which_a_loss_has_no_gradient(loss, shape, what, device):
    inputs = {"student": torch.randn(shape, device=device), "teacher": torch.randn(shape, device=device)}
    problem = degenerate(loss(), inputs)
    assert problem is not None
    assert problem.message == f"its gradient is always 0 for {what}"
    student = torch.randn(shape, requires_grad=True)  # and so torch says
    (gradient,) = torch.autograd.grad(loss()(student, torch.randn(shape)), [student])
    assert gradient.abs().max() < 1e-6
    assert degenerate(nn.MSELoss(), {"input": inputs["student"], "target": inputs["teacher"]}) is None


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        *((loss, (4, 6, 3, 3)) for loss in (losses.ATLoss, losses.CWDLoss, losses.NSTLoss)),
        *((loss, (3, 6)) for loss in (losses.SPKDLoss, losses.RKDLoss, losses.PKTLoss, losses.CCKDLoss, losses.ITRDLoss)),
        *((loss, (2, 6)) for loss in (losses.SPKDLoss, losses.KDLoss, losses.DISTLoss)),
        *((loss, (1, 6)) for loss in (losses.KDLoss, losses.DKDLoss, losses.TAIDLoss)),
        (losses.TAIDLoss, (1, 1, 6)),
        (losses.MGDLoss, (4, 6, 1, 1)),
    ],
)  # fmt: skip
def test_shapes_for_which_a_loss_has_a_gradient(loss, shape):
    options = {"student_channels": 6, "teacher_channels": 6} if loss is losses.MGDLoss else {}
    assert degenerate(loss(**options), {"student": torch.randn(shape), "teacher": torch.randn(shape)}) is None


@pytest.mark.parametrize(("loss", "batch_size", "what"), [(losses.ATLoss, 4, POSITION), (losses.SPKDLoss, 1, SAMPLE)])
def test_a_loss_without_a_gradient_is_refused_beside_one_that_teaches(loss, batch_size, what):
    models = {
        name: nn.Sequential(nn.Linear(4, 3), nn.Unflatten(1, (3, 1, 1)), nn.Flatten())
        for name in ("teacher", "student")
    }
    term = Term(loss=loss(), inputs={"student": "student.1", "teacher": "teacher.1"})
    with pytest.raises(
        WiringError, match=rf"losses\.at: {loss.__name__}: its gradient is always 0 for {what}\n  hint: "
    ):
        trainer(models, term, batch_size).fit()


class Centred(nn.Module):
    def __init__(self, offset, calls):
        super().__init__()
        self.offset, self.calls = offset, calls

    def forward(self, student):
        self.calls.append((len(student), random.random(), np.random.rand()))
        return (student - student.mean(0)).square().mean() + self.offset

    def __deepcopy__(self, memo):
        return Centred(self.offset, self.calls)


@pytest.mark.parametrize(("offset", "is_called"), [(1.0, False), (0.0, True)])
def test_a_loss_of_other_packages_is_called_again_only_if_it_may_be_degenerate(offset, is_called):
    calls = []
    student = torch.randn(1, 4)
    loss = Centred(offset, calls)
    value = loss(student)
    before = random.getstate(), str(np.random.get_state())
    problem = degenerate(loss, {"student": student}, value)
    assert (len(calls) > 1, problem is not None) == (is_called, is_called)
    assert before == (random.getstate(), str(np.random.get_state()))


def test_a_function_of_other_packages_is_never_called_again():
    queue = []

    def loss(student):
        queue.append(student.detach())
        return student.sum() * 0 if len(queue) == 1 else (student - queue[0].mean(0)).square().mean()

    student = torch.randn(1, 4)
    assert degenerate(loss, {"student": student}, loss(student)) is None
    assert len(queue) == 1


class Threshold(nn.Module):
    def forward(self, student):
        return nn.functional.relu(student.abs() - 2.5).mean()


class Pairs(nn.Module):
    """Triplets within the batch: none in the first batch, whose labels all differ."""

    def forward(self, student, target):
        distances, same = torch.cdist(student, student), target[:, None] == target
        positive, negative = same & ~torch.eye(len(target), dtype=torch.bool), ~same
        contrast = distances.unsqueeze(2) - distances.unsqueeze(1) + 1
        return nn.functional.relu(contrast * positive.unsqueeze(2) * ~negative.unsqueeze(1)).sum()


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(
    ("loss", "arguments"),
    [
        (Threshold(), lambda size: {"student": torch.zeros(size, 4)}),
        (Pairs(), lambda size: {"student": torch.zeros(size, 4), "target": torch.arange(size)}),
        (nn.HingeEmbeddingLoss(0.1), lambda size: {"input": torch.ones(size, 1), "target": -torch.ones(size, 1).long()}),
        (nn.MultiMarginLoss(margin=0.01), lambda size: {"input": torch.eye(size, 2), "target": torch.arange(size)}),
    ],
)  # fmt: skip
def test_losses_that_are_rightly_0_for_many_values(loss, arguments, size):
    if not (isinstance(loss, Pairs) and size == 1):  # which has no pairs
        assert degenerate(loss, arguments(size), loss(**arguments(size))) is None


def test_a_resumed_run_may_begin_with_the_last_batch_of_an_epoch(tmp_path):
    class Killed(losses.SPKDLoss):
        def forward(self, student, teacher):
            if len(student) == 1:
                raise KeyboardInterrupt
            return super().forward(student, teacher)

    def fit(loss, *, resume):
        models = {name: nn.Linear(4, 3) for name in ("teacher", "student")}
        term = Term(loss=loss, inputs={"student": "student", "teacher": "teacher"})
        run = trainer(models, term, 11, output=tmp_path, callbacks=[Checkpoint(every_steps=1)])
        run.fit(resume=resume)
        return run.state.step

    with pytest.raises(KeyboardInterrupt):
        fit(Killed(), resume=False)
    assert fit(losses.SPKDLoss(), resume=True) == 2
