"""Small, real experiments: two networks, a linearly separable problem, everything on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distill_core.data import Loader, TensorData
from distill_core.train import Checkpoint, Evaluate, Experiment, Metric, Stage, Term


class TopOne:
    """Accuracy in percent, as a user would write it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.right, self.seen = 0, 0

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.right += int((preds.argmax(1) == target).sum())
        self.seen += len(target)

    def compute(self) -> float:
        return 100.0 * self.right / self.seen


class Divergence(nn.Module):
    """KL divergence with a learnable scale, so that a loss with parameters takes part."""

    reduction_scope = "sample"

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        log_student = (student * self.scale).log_softmax(1)
        return nn.functional.kl_div(log_student, teacher.log_softmax(1), log_target=True, reduction="batchmean")


def network(width: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 3))


def samples(count: int, seed: int) -> TensorData:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 6, generator=generator)
    return TensorData({"input": inputs, "target": inputs[:, :3].argmax(1)})


def metrics() -> dict[str, Metric]:
    return {"top1": Metric(metric=TopOne(), inputs={"preds": "student", "target": "batch.target"})}


@pytest.fixture
def experiment() -> Callable[..., Experiment]:
    """Makes an experiment anew at each call: a student of 4, a teacher of 32 units, one or more stages."""

    def make(*, stages: list[Stage] | None = None, count: int = 50, batch_size: int = 8, **options: Any) -> Experiment:
        losses = {
            "ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}),
            "kd": Term(loss=Divergence(), inputs={"student": "student", "teacher": "teacher"}, weight=0.5),
        }
        first = Stage(
            epochs=2,
            losses=losses,
            optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
            scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5),
        )
        val = Loader(samples(20, 1), 8)
        defaults: dict[str, Any] = {
            "models": {"teacher": network(32, 0), "student": network(4, 1)},
            "data": {"train": Loader(samples(count, 0), batch_size, shuffle=True), "val": val},
            "stages": stages if stages is not None else [first],
            "callbacks": [Evaluate(val, metrics()), Checkpoint(best="top1")],
            "log_every": 2,
        }
        return Experiment(**(defaults | options))

    return make
