"""The predicted memory of a step against torch's tracker on real tensors, in a plain loop."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.checkpoint import checkpoint

from distill_core.data import Loader, TensorData
from distill_core.experiment import Experiment, Stage, Term
from distill_core.preview import predict_memory


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(64), nn.Linear(64, 256), nn.Linear(256, 64)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layers = nn.Linear(192, 64), nn.ModuleList(Block() for _ in range(4))
        self.head, self.recompute = nn.Linear(64, 100), False

    def forward(self, x):
        x = self.embed(x.flatten(1))
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=False) if self.recompute else layer(x)
        return self.head(x)


def convolutional() -> nn.Module:
    parts = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(1024, 10))


def attention() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 32, batch_first=True)
    return nn.Sequential(
        nn.Flatten(2), nn.Linear(64, 8), nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(24, 10)
    )


def experiment(model: nn.Module, **settings) -> Experiment:
    data = TensorData({"input": torch.randn(128, 3, 8, 8), "target": torch.arange(128) % 10})
    term = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    stage = Stage(epochs=1, optimizer=partial(torch.optim.AdamW, lr=0.1), losses={"ce": term})
    return Experiment(models={"student": model}, data={"train": Loader(data, 64)}, stages=[stage], **settings)


def measured(model: nn.Module) -> dict[str, int]:
    """Return what torch's tracker counts in the second step of a plain loop."""
    inputs, target = torch.randn(64, 3, 8, 8), torch.arange(64) % 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    nn.functional.cross_entropy(model(inputs), target).backward()
    optimizer.step()
    optimizer.zero_grad()
    tracker = MemTracker()
    tracker.track_external(model, optimizer, inputs, target)
    with tracker:
        nn.functional.cross_entropy(model(inputs), target).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {
        str(getattr(key, "value", key)): size
        for key, size in tracker.get_tracker_snapshot("peak")[inputs.device].items()
    }


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("build", [Perceptron, convolutional, attention])
def test_the_prediction_is_within_a_tenth_of_the_measurement(build, recompute):
    model = build()
    given = {"activation_checkpointing": ["student"]} if recompute and build is Perceptron else {}
    found = predict_memory(experiment(model, **given))[0]
    if given:
        model.recompute = True
    expected = measured(model)
    assert found.total == pytest.approx(expected["Total"], rel=0.1)
    assert found.parameters == pytest.approx(expected["Parameter"] + expected["Buffer"], rel=0.1)
    assert found.optimizer == pytest.approx(expected["Optstate"], rel=0.1)


@pytest.mark.parametrize("processes", [2, 3])
def test_a_sharded_model_has_its_share_of_parameters_and_optimizer_state(processes):
    alone = predict_memory(experiment(Perceptron()))[0]
    found = predict_memory(experiment(Perceptron(), parallel="fsdp"), processes)[0]
    replicated = predict_memory(experiment(Perceptron()), processes)[0]
    assert found.optimizer == pytest.approx(alone.optimizer / processes, rel=0.05)
    assert found.parameters < alone.parameters
    assert (replicated.parameters, replicated.optimizer) == (alone.parameters, alone.optimizer)
    assert replicated.gradients >= sum(parameter.nbytes for parameter in Perceptron().parameters())  # the buckets
    assert not torch.distributed.is_initialized()
