"""AdaptedLoss against torch's own layers and losses."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from distill_core.losses import AdaptedLoss, KDLoss

from .cases import Case


def logits(batch: int) -> dict:
    return {"student": torch.randn(batch, 4), "teacher": torch.randn(batch, 5)}


CASES = [
    Case(name="AdaptedLoss", loss=lambda: AdaptedLoss(KDLoss(2.0), student=nn.Linear(4, 5)), inputs=logits),
]


def test_each_module_maps_its_own_side():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 6), nn.Linear(5, 6)
    student, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    loss = AdaptedLoss(nn.MSELoss(), student=ours, teacher=theirs)(student, teacher)
    torch.testing.assert_close(loss, F.mse_loss(ours(student), theirs(teacher)))
    loss.backward()
    assert student.grad is not None
    assert teacher.grad is None
    assert theirs.weight.grad is not None


def test_it_averages_over_what_the_loss_inside_does():
    assert AdaptedLoss(KDLoss()).reduction_scope == KDLoss.reduction_scope
    assert AdaptedLoss(nn.MSELoss()).reduction_scope == "unknown"
