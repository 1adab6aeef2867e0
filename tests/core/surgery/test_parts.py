"""Models rebuilt from parts of themselves."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.errors import WiringError
from distill_core.surgery import parts
from distill_core.train import Experiment, Stage, Term, Trainer


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.layer1 = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.layer2 = nn.Conv2d(width, width, 3, padding=1)
        self.fc = nn.Linear(width, 5)

    def forward(self, x):
        return self.fc(self.layer2(self.layer1(self.conv1(x))).mean((2, 3)))


def test_the_chain_is_the_model_as_far_as_it_goes():
    net = Net(4).eval()
    chain = parts(net, ["conv1", "layer1.0", nn.Tanh(), "layer1.1", "layer1.1"])
    assert list(chain._modules) == ["conv1", "layer1_0", "2", "layer1_1", "layer1_1_"]
    images = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(chain(images), net.layer1[0](net.conv1(images)).tanh().relu())
    assert chain[0] is net.conv1


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(WiringError, match="Net has no module 'layer3'"):
        parts(Net(4), ["conv1", "layer3"])


def test_a_stage_of_parts_and_a_stage_of_the_whole_with_the_weights_learnt():
    """The first stage runs no module behind layer1, in neither model; the second continues from its weights."""
    torch.manual_seed(0)
    teacher, student = Net(4), Net(4)
    models = {
        "teacher": teacher,
        "student": student,
        "front": parts(student, ["conv1", "layer1"]),
        "teacher_front": parts(teacher, ["conv1", "layer1"]),
    }
    calls = {"teacher": 0, "student": 0}

    def count(name, *_):
        calls[name] += 1

    teacher.layer2.register_forward_hook(partial(count, "teacher"))
    student.layer2.register_forward_hook(partial(count, "student"))
    data = Loader(TensorData({"input": torch.randn(16, 3, 6, 6), "target": torch.arange(16) % 5}), 8)
    hint = Term(loss=nn.MSELoss(), inputs={"input": "front", "target": "teacher_front"})
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    before = student.conv1.weight.detach().clone()
    first = Stage(epochs=2, losses={"hint": hint}, train=["front"], optimizer=partial(torch.optim.SGD, lr=0.1))
    Trainer(Experiment(models=models, data={"train": data}, stages=[first])).fit()
    assert calls == {"teacher": 0, "student": 0}
    learnt = student.conv1.weight.detach().clone()
    assert not torch.equal(learnt, before)
    assert all(parameter.requires_grad for parameter in student.parameters())
    second = Stage(epochs=1, losses={"ce": ce}, train=["student.fc"])
    Trainer(Experiment(models=models, data={"train": data}, stages=[first, second])).fit()
    assert calls == {"teacher": 0, "student": 2}
