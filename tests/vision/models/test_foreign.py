"""Models of torchvision and timm learn and teach as they are: by import path, with taps, unedited."""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module

import pytest
import torch

from distill_core.data import Loader, TensorData
from distill_core.losses import SPKDLoss
from distill_core.train import Experiment, Stage, Term, Trainer

PAIRS = {
    "torchvision": (
        lambda tv: tv.models.shufflenet_v2_x0_5(num_classes=4),
        lambda tv: tv.models.resnet18(num_classes=4),
        ("stage3", "layer3"),
    ),
    "timm": (
        lambda timm: timm.create_model("test_convnext.r160_in1k", num_classes=4),
        lambda timm: timm.create_model("test_vit.r160_in1k", num_classes=4, img_size=64),
        ("stages.1", "blocks.2"),
    ),
}


@pytest.mark.parametrize("library", PAIRS)
def test_a_model_learns_from_another_one(library):
    package = import_module(library)
    torch.manual_seed(0)
    student, teacher = (make(package) for make in PAIRS[library][:2])
    ours, theirs = PAIRS[library][2]
    before = {name: parameter.clone() for name, parameter in student.named_parameters() if parameter.dim() == 4}
    taught = {name: value.clone() for name, value in teacher.state_dict().items()}
    terms = {
        "ce": Term(loss=torch.nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}),
        "spkd": Term(loss=SPKDLoss(), inputs={"student": f"student.{ours}", "teacher": f"teacher.{theirs}"}),
    }
    data = TensorData({"input": torch.randn(8, 3, 64, 64), "target": torch.arange(8) % 4})
    stage = Stage(epochs=1, losses=terms, optimizer=partial(torch.optim.SGD, lr=0.1))
    Trainer(
        Experiment(models={"teacher": teacher, "student": student}, data={"train": Loader(data, 4)}, stages=[stage])
    ).fit()
    after = dict(student.named_parameters())
    assert not any(torch.equal(after[name], kernel) for name, kernel in before.items())
    assert all(torch.equal(value, taught[name]) for name, value in teacher.state_dict().items())


def test_the_names_of_torchvisions_files_of_densenet_are_read(tmp_path):
    """Torchvision saved them before it renamed the modules, and renames the tensors itself when it downloads a file."""
    from distill_core.weights import load_weights

    build = partial(import_module("torchvision").models.DenseNet, 4, (2, 2), 8, num_classes=3)
    saved = build().state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): tensor for name, tensor in saved.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet.pth")
    loaded = load_weights(build(), tmp_path / "densenet.pth").state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in saved.items())
