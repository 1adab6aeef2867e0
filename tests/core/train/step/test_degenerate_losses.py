"""Losses that have no gradient for the shapes of their inputs are refused, whatever the values are."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from distill_core import losses
from distill_core.data import Loader
from distill_core.errors import WiringError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer
from distill_core.train.step._degenerate import degenerate


def trainer(models, term, batch_size):
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    stage = Stage(epochs=1, optimizer=partial(torch.optim.SGD, lr=0.1), losses={"ce": ce, "at": term})
    data = Loader(TensorDataset(torch.randn(12, 4), torch.arange(12) % 3), batch_size)
    return Trainer(Experiment(models=models, data={"train": data}, stages=[stage]))


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


@pytest.mark.parametrize(("offset", "is_called"), [(1.0, False), (0.0, True)])
def test_a_loss_of_other_packages_is_called_again_only_if_it_may_be_degenerate(offset, is_called):
    calls = []

    def loss(student):
        calls.append(len(student))
        return (student - student.mean(0)).square().mean() + offset

    student = torch.randn(1, 4)
    problem = degenerate(loss, {"student": student}, loss(student))
    assert (len(calls) > 1, problem is not None) == (is_called, is_called)
