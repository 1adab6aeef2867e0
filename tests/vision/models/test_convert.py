"""`distill convert --model` knows the layouts of other code bases that the class of the model declares."""

from __future__ import annotations

import re
import sys

import pytest
import torch
from safetensors.torch import load_file

from distill_core.cli import main
from distill_vision.models import resnet20


def test_a_foreign_resnet_becomes_ours(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = resnet20(num_classes=4)
    names = {name: re.sub(r"^fc\.", "linear.", name) for name in model.state_dict()}
    torch.save({f"module.{names[name]}": tensor for name, tensor in model.state_dict().items()}, "a.th.pth")
    words = ["convert", "a.th.pth", "b.safetensors", "--model", "distill_vision.models.resnet20", "num_classes=4"]
    monkeypatch.setattr(sys, "argv", ["distill", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code or 0, said.err) == (0, "")
    assert said.out.splitlines()[1:3] == [
        "names: 2 changed from akamaster/pytorch_resnet_cifar10",
        "names and shapes: exactly those of CifarResNet",
    ]
    new = load_file("b.safetensors")
    assert all(torch.equal(new[name], tensor) for name, tensor in model.state_dict().items())
