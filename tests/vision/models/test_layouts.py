"""Public checkpoints of CIFAR models, by the names and shapes of their tensors, and what the names mean."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from distill_core.errors import DistillError
from distill_core.weights import load_weights
from distill_vision import models

MODELS = {
    "mdistiller/resnet20": lambda: models.resnet20(num_classes=100),
    "mdistiller/resnet8x4": lambda: models.resnet8x4(num_classes=100),
    "mdistiller/wrn_16_2": lambda: models.wide_resnet(16, 2, num_classes=100, shortcut_input="activated"),
    "mdistiller/wrn_40_1": lambda: models.wide_resnet40_1(num_classes=100, shortcut_input="activated"),
    "mdistiller/wrn_40_2": lambda: models.wide_resnet40_2(num_classes=100, shortcut_input="activated"),
    "mdistiller/vgg8_bn": lambda: models.vgg8(num_classes=100),
    "mdistiller/vgg13_bn": lambda: models.vgg13(num_classes=100),
    "mdistiller/mobile_half": lambda: models.mobilenetv2(num_classes=100),
    "mdistiller/ShuffleV1": lambda: models.shufflenetv1(num_classes=100),
    "mdistiller/ShuffleV2": lambda: models.shufflenetv2(num_classes=100),
    "akamaster/resnet20-12fca82f.th": lambda: models.resnet20(shortcut="identity"),
    "chenyaofo/cifar10_resnet20.pth": models.resnet20,
    "chenyaofo/cifar100_resnet56.pth": lambda: models.resnet56(num_classes=100),
}


def checkpoint(name: str) -> dict[str, torch.Tensor]:
    """Return tensors with random values and the names and shapes of a public checkpoint."""
    torch.manual_seed(0)
    with (Path(__file__).parent / "public_checkpoints.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["checkpoint"] == name]
    shapes = {row["name"]: [int(size) for size in row["shape"].split(",") if size] for row in rows}
    return {
        name: torch.rand(shape) if shape else torch.tensor(7)  # a number is the count of a batch norm
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_tensor_of_a_public_checkpoint_has_its_place(name, wrapped, tmp_path):
    tensors = checkpoint(name)
    torch.save({"model": tensors} if wrapped else tensors, tmp_path / "public.pth")
    model = load_weights(MODELS[name](), tmp_path / "public.pth")
    loaded = list(model.state_dict().values())
    if not name.startswith("akamaster"):  # torch saved no counts then
        assert all(torch.equal(*both) for both in zip(loaded, tensors.values(), strict=True))
    values = {float(tensor.double().sum()) for tensor in loaded}
    assert {float(tensor.double().sum()) for tensor in tensors.values()} <= values


def test_a_wide_resnet_that_computes_something_else_is_refused(tmp_path):
    torch.save(checkpoint("mdistiller/wrn_16_2"), tmp_path / "wrn.pth")
    with pytest.raises(DistillError) as error:
        load_weights(models.wide_resnet(16, 2, num_classes=100), tmp_path / "wrn.pth")
    assert str(error.value) == (
        "the weights are those of RepDistiller and mdistiller, whose WideResNet has `shortcut_input` 'activated', got 'raw'"
        "\n  hint: build the model with shortcut_input: activated"
    )


def test_the_activated_shortcut_reads_what_the_convolution_reads():
    """As in the code of the paper's authors: batch norm and ReLU come before both."""
    block = models.wide_resnet(10, 2, shortcut_input="activated").layer2[0].eval()
    block.bn1.running_mean.normal_()
    features = torch.randn(2, 32, 6, 6)
    activated = F.relu(block.bn1(features))
    inner = F.relu(block.bn2(block.conv1(activated)))
    torch.testing.assert_close(block(features), block.conv2(inner) + block.shortcut[0](activated))
    plain = models.wide_resnet(10, 2, shortcut_input="activated").layer2[0].eval()
    assert plain.shortcut[0].stride == (2, 2)


def foreign(state, *, prefix: str = "module.", counts: bool = True):
    """Return the same weights in a common published layout."""
    renamed = {}
    for name, tensor in state.items():
        if counts or not name.endswith("num_batches_tracked"):
            renamed[prefix + name.replace("fc.", "linear.").replace("downsample", "shortcut")] = tensor
    return renamed


@pytest.mark.parametrize("shortcut", ["identity", "projection"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize("counts", [True, False])
def test_the_converted_weights_give_the_same_logits(shortcut, prefix, counts, tmp_path):
    source, loaded = resnet(shortcut), resnet(shortcut)
    images = torch.randn(2, 3, 16, 16)
    assert not torch.equal(source(images), loaded(images))
    torch.save(foreign(source.state_dict(), prefix=prefix, counts=counts), tmp_path / "a.pth")
    load_weights(loaded, tmp_path / "a.pth")
    assert torch.equal(source(images), loaded(images))


def resnet(shortcut):
    return models.resnet20(shortcut=shortcut).eval()


def test_a_shufflenet_keeps_its_linear(tmp_path):
    """Its own name is that of another family's foreign layout."""
    source, loaded = models.shufflenetv2().eval(), models.shufflenetv2().eval()
    torch.save({f"module.{name}": tensor for name, tensor in source.state_dict().items()}, tmp_path / "a.pth")
    load_weights(loaded, tmp_path / "a.pth")
    assert torch.equal(source.linear.weight, loaded.linear.weight)


def test_two_models_in_one_file_are_refused(tmp_path):
    state = models.resnet20().state_dict()
    torch.save({**state, "linear.weight": state["fc.weight"]}, tmp_path / "a.pth")
    with pytest.raises(DistillError) as error:
        load_weights(models.resnet20(), tmp_path / "a.pth")
    assert str(error.value) == (
        "two tensors would have the name 'fc.weight', the second is 'linear.weight'"
        "\n  hint: split the file: it contains two models"
    )
