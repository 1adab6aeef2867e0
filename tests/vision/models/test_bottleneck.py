"""Bottlenecks for split computing: shapes, unchanged modules, head and tail, and the size of the transfer."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import nn

from distill_core.errors import WiringError
from distill_core.hooks import Capture
from distill_vision.models import (
    bottleneck_densenet,
    bottleneck_inception,
    bottleneck_resnet,
    cut,
    densenet,
    dequantize,
    find_bottleneck,
    quantize,
    resnet,
    resnet8x4,
    transfer_size,
)


def small_resnet():
    """Build torchvision's, one block per layer."""
    return torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])


def small_densenet():
    """Build torchvision's, two layers per block."""
    return torchvision.models.DenseNet(8, (2, 2, 2, 2), 16)


RESNETS = {
    "torchvision": (small_resnet, "layer2"),
    "torchvision, later": (small_resnet, "layer3"),
    "torchvision, wide blocks": (
        lambda: torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1]),
        "layer1",
    ),
    "cifar": (lambda: resnet(8), "layer2"),
    "cifar, early": (resnet8x4, "layer1"),
}
DENSENETS = {
    "torchvision": (small_densenet, "transition2"),
    "torchvision, later": (small_densenet, "transition3"),
    "torchvision, a block": (small_densenet, "denseblock2"),
    "cifar": (lambda: densenet(22, 12), "transition1"),
}


def changed(kind, name, **options):
    """A model, the same model with a bottleneck, and the path of the last module replaced."""
    make, last = (RESNETS if kind == "resnet" else DENSENETS)[name]
    model = make().eval()
    inject = bottleneck_resnet if kind == "resnet" else bottleneck_densenet
    student = inject(copy.deepcopy(model), channels=5, last=last, **options)
    return model, student, last if kind == "resnet" else f"features.{last}"


CASES = [("resnet", name) for name in RESNETS] + [("densenet", name) for name in DENSENETS]


@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.parametrize("size", [(64, 64), (75, 53)])
def test_the_bottleneck_gives_the_shape_of_what_it_replaces(kind, name, size):
    model, student, last = changed(kind, name)
    shapes = []
    for network in (model, student):
        kept = []
        network.get_submodule(last).register_forward_hook(lambda module, inputs, out, kept=kept: kept.append(out.shape))
        network(torch.randn(1, 3, *size))
        shapes.append(kept[0])
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("size", [(299, 299), (128, 131), (110, 97)])
def test_the_bottleneck_of_inception_keeps_shape_names_and_weights(size):
    model = torchvision.models.inception_v3(weights=None, init_weights=False).eval()
    student = bottleneck_inception(copy.deepcopy(model), channels=5)
    shapes = []
    for network in (model, student):
        network.maxpool2.register_forward_hook(lambda module, inputs, out: shapes.append(out.shape))
        with torch.no_grad():
            network(torch.randn(1, 3, *size))
    assert shapes[0] == shapes[1]
    path, _ = find_bottleneck(student)
    theirs = model.state_dict()
    kept = {key: value for key, value in student.state_dict().items() if not key.startswith(f"{path}.")}
    assert {key.partition(".")[0] for key in theirs.keys() - kept.keys()} == {
        "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3",
    }  # fmt: skip
    assert all(torch.equal(value, theirs[key]) for key, value in kept.items())


@pytest.mark.parametrize(("kind", "name"), [("resnet", "torchvision"), ("densenet", "torchvision")])
def test_what_comes_after_keeps_its_names_and_weights(kind, name):
    model, student, _ = changed(kind, name)
    path, bottleneck = find_bottleneck(student)
    mine, theirs = student.state_dict(), model.state_dict()
    own = {f"{path}.{key}" for key in bottleneck.state_dict()}
    assert own < set(mine)
    kept = set(mine) - own
    assert kept < set(theirs)
    assert all(torch.equal(mine[key], theirs[key]) for key in kept)


def test_the_last_replaced_module_is_tapped_as_in_the_teacher():
    model, student, _ = changed("resnet", "torchvision")
    images = torch.randn(2, 3, 32, 32)
    with Capture(student, ["conv1", "layer2", "layer3"]) as captured:
        student(images)
    assert torch.equal(captured["conv1"], captured["layer2"])
    with Capture(model, ["layer3"]) as theirs:
        model(images)
    assert theirs["layer3"].shape == captured["layer3"].shape


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_head_and_tail_together_are_the_model(kind, name):
    _, student, _ = changed(kind, name)
    head, tail = cut(student)
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(tail(head(images)), student(images))
    assert head(images).shape[1] == 5
    for part in (head, tail):
        for parameter in part.parameters():
            parameter.data.zero_()
    assert student(images).abs().sum() > 0  # they are copies


def test_a_stem_goes_with_the_head():
    class Stemmed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3)
            self.conv1 = nn.Conv2d(8, 8, 3, padding=1)
            self.layer1 = nn.Conv2d(8, 6, 3, padding=1)
            self.layer2 = nn.Conv2d(6, 2, 3)

        def forward(self, images):
            return self.layer2(self.layer1(self.conv1(self.stem(images))))

    student = bottleneck_resnet(Stemmed().eval(), channels=2, last="layer1")
    head, tail = cut(student, ["stem"])
    images = torch.randn(1, 3, 16, 16)
    assert head(images).shape == (1, 2, 14, 14)
    assert torch.equal(tail(head(images)), student(images))


def test_the_size_of_a_transfer_is_that_of_the_encoders_output():
    student = bottleneck_resnet(torchvision.models.resnet18().eval(), channels=12)
    transfer = transfer_size(student, torch.rand(2, 3, 224, 224))
    numbers = 2 * 12 * 28 * 28
    assert (transfer.images, transfer.float32, transfer.quantized) == (2 * 3 * 224 * 224, 4 * numbers, numbers + 2 * 8)
    assert str(transfer) == (
        "images 301,056 bytes, bottleneck 75,264 bytes (25.0%) as float32, 18,832 bytes (6.3%) in 8 bits"
    )
    images = [torch.rand(3, 20, 30), torch.rand(3, 40, 10)]

    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = student

        def forward(self, images):
            return [self.body(image[None]) for image in images]

    assert transfer_size(Listed(), images).images == 3 * (600 + 400)


def test_quantized_numbers_are_off_by_half_a_step_at_most():
    values = torch.randn(3, 4, 5, 5) * torch.tensor([0.01, 1.0, 100.0]).view(3, 1, 1, 1)
    sent = quantize(values)
    assert sent.numbers.dtype == torch.uint8
    assert sent.num_bytes == 300 + 2 * 3 * 4
    back = dequantize(sent)
    steps = (values.flatten(1).amax(1) - values.flatten(1).amin(1)) / 255
    error = (back - values).abs().flatten(1).amax(1)
    assert (error <= steps * 0.501).all()
    assert (error > steps * 0.2).all()
    assert torch.equal(dequantize(quantize(torch.full((2, 3), -7.5))), torch.full((2, 3), -7.5))


def test_a_quantized_bottleneck_rounds_while_evaluating_and_learns_without():
    _, student, _ = changed("resnet", "cifar", quantized=True)
    head, tail = cut(student)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(student(images), tail(dequantize(quantize(head(images)))))
    assert not torch.equal(student(images), tail(head(images)))
    student.train()(images).sum().backward()
    assert all(p.grad is not None for p in student.conv1.parameters())


def test_what_cannot_be_last_is_refused():
    with pytest.raises(WiringError) as raised:
        bottleneck_resnet(torchvision.models.resnet18(), last="layer4")
    assert str(raised.value) == "`last` of ResNet must be one of layer1, layer2, layer3, got 'layer4'"


def test_a_model_without_a_bottleneck_is_refused():
    with pytest.raises(WiringError) as raised:
        cut(resnet(8))
    assert str(raised.value) == (
        "CifarResNet must have exactly one bottleneck, got 0\n  hint: add one with `with_bottleneck`"
    )
