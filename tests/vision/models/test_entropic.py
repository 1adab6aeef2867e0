"""Entropy-coded bottlenecks: with a plain prior written from the paper, and with CompressAI where it is installed."""

from __future__ import annotations

import warnings
import zlib
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import densenet121, resnet18, resnet50

from distill_core.errors import DistillError, WiringError
from distill_vision import models
from distill_vision.metrics import DataSize


class Prior(nn.Module):
    """The factorized prior of Ballé et al. 2018, appendix 6.1, with two layers per channel, and zlib in place of a coder."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(channels, 1, 3))
        self.shift, self.factor = nn.Parameter(torch.randn(channels, 1, 3)), nn.Parameter(torch.randn(channels, 1, 3))
        self.mix = nn.Parameter(torch.rand(channels, 3, 1))
        self.quantiles = nn.Parameter(torch.tensor([-10.0, 0.0, 10.0]).repeat(channels, 1, 1))
        self.updated = 0

    def cumulative(self, values):
        """Return the logit of the cumulative distribution: (channels, n) to (channels, n)."""
        hidden = F.softplus(self.scale) * values[:, :, None] + self.shift
        hidden = hidden + self.factor.tanh() * hidden.tanh()
        return (hidden @ F.softplus(self.mix))[:, :, 0]

    def forward(self, features):
        rounded = features + torch.rand_like(features) - 0.5 if self.training else features.round()
        flat = rounded.transpose(0, 1).flatten(1)
        likelihood = (self.cumulative(flat + 0.5).sigmoid() - self.cumulative(flat - 0.5).sigmoid()).clamp(min=1e-9)
        batch, channels, height, width = features.shape
        return rounded, likelihood.view(channels, batch, height, width).transpose(0, 1)

    def loss(self):
        return self.quantiles.square().sum()

    def update(self, *, force):
        self.updated += force

    def compress(self, features):
        return [zlib.compress(one.round().to(torch.int16).numpy().tobytes()) for one in features]

    def decompress(self, strings, size):
        numbers = np.stack([np.frombuffer(zlib.decompress(string), dtype=np.int16) for string in strings])
        return torch.from_numpy(numbers.astype(np.float32)).view(len(strings), -1, *size)


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4))
    encoder[0].weight.data.mul_(20)
    bottleneck = models.EntropicBottleneck(encoder, nn.Sequential(nn.Conv2d(4, 5, 1)), Prior(4))
    return nn.Sequential(bottleneck, nn.Flatten(), nn.LazyLinear(3))


def reported(bottleneck, images):
    found = []
    hook = bottleneck.report.register_forward_hook(lambda *given: found.append(given[2]))
    out = bottleneck(images)
    hook.remove()
    return out, found[0]


def test_the_report_has_the_bits_under_the_prior(model):
    bottleneck, images = model[0].eval(), torch.randn(2, 3, 8, 8)
    out, report = reported(bottleneck, images)
    sent = bottleneck.encoder(images).round()
    assert torch.equal(out, bottleneck.decoder(sent))
    expected = torch.zeros(2)
    for sample in range(2):
        for channel in range(4):
            for value in sent[sample, channel].flatten():
                logits = [
                    bottleneck.entropy_bottleneck.cumulative((value + s).expand(4, 1))[channel] for s in (0.5, -0.5)
                ]
                expected[sample] -= (logits[0].sigmoid() - logits[1].sigmoid()).clamp(min=1e-9).log2().item()
    torch.testing.assert_close(report["bits"], expected)
    torch.testing.assert_close(report["rate"], expected.mean())
    assert report["quantiles"] == 4 * 200


def test_noise_replaces_rounding_while_the_prior_learns(model):
    bottleneck, images = model[0], torch.randn(2, 3, 8, 8)
    bottleneck.decoder = nn.Identity()
    encoded = bottleneck.encoder(images)
    noisy, report = reported(bottleneck, images)
    assert 0 < (noisy - encoded).abs().max() <= 0.5
    assert not torch.equal(noisy, encoded.round())
    report["rate"].backward()
    assert bottleneck.encoder[0].weight.grad.abs().sum() > 0
    bottleneck.entropy_bottleneck.eval()  # as a stage does that does not train it
    assert torch.equal(bottleneck(images), encoded.round())


def check_parts(model, images):
    """Compare the two parts with the whole, and the strings with the measured size."""
    head, tail = models.cut(model)
    with torch.no_grad():
        coded = head(images)
        assert isinstance(coded, models.Coded)
        assert len(coded.strings) == len(images)
        torch.testing.assert_close(tail(coded), model(images))
    assert models.transfer_size(model, images).coded == coded.num_bytes == sum(map(len, coded.strings))
    return coded


def test_the_two_parts_are_the_whole(model):
    model, images = model.eval(), torch.randn(2, 3, 8, 8)
    model(images)
    check_parts(model, images)
    assert "bytes (" in str(models.transfer_size(model, images))
    assert str(models.transfer_size(model, images)).endswith("entropy-coded")
    assert model[0].entropy_bottleneck.updated == 0  # the tables are those of a copy


def test_the_size_of_bits_and_of_numbers():
    size = DataSize()
    size.update(bits=torch.tensor([8.0, 16.0]))
    size.update(bits=torch.tensor([48.0]))
    assert size.compute() == 3
    sent = torch.randn(3, 2, 5)
    for quantized, expected in ((False, 40), (True, models.quantize(sent).num_bytes / 3)):
        size = DataSize(quantized=quantized)
        size.update(sent)
        assert size.compute() == expected


@pytest.mark.parametrize("given", [{}, {"sent": torch.zeros(1), "bits": torch.zeros(1)}])
def test_either_numbers_or_bits_are_measured(given):
    with pytest.raises(DistillError, match="either `sent` or `bits`"):
        DataSize().update(**given)


def test_another_model_is_refused():
    with (
        torch.device("meta"),
        pytest.raises(WiringError, match="`model` must be a ResNet of torchvision, got DenseNet"),
    ):
        models.entropic_bottleneck(densenet121())


@pytest.mark.skipif(find_spec("compressai") is not None, reason="it is installed")
def test_without_compressai_its_name_is_said():
    with torch.device("meta"), pytest.raises(DistillError, match="requires the package compressai"):
        models.entropic_bottleneck(resnet18())


@pytest.mark.compressai
@pytest.mark.filterwarnings("ignore")
def test_layers_and_names_are_the_published_ones():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = models.entropic_bottleneck(resnet50(weights=None))
    shapes = {name: tuple(value.shape) for name, value in model.bottleneck_layer.named_parameters()}
    convolutions = {name: shape for name, shape in shapes.items() if len(shape) == 4}
    assert convolutions == {
        "encoder.0.weight": (96, 3, 5, 5), "encoder.2.weight": (48, 96, 5, 5), "encoder.4.weight": (24, 48, 2, 2),
        "decoder.0.weight": (512, 24, 2, 2), "decoder.2.weight": (256, 512, 2, 2), "decoder.4.weight": (256, 256, 2, 2),
    }  # fmt: skip
    assert shapes["encoder.1.gamma"] == (96, 96)
    assert shapes["decoder.3.beta"] == (256,)
    assert shapes["entropy_bottleneck.quantiles"] == (24, 1, 3)
    assert model.bottleneck_layer(torch.zeros(1, 3, 224, 224)).shape == (1, 256, 56, 56)


@pytest.mark.compressai
@pytest.mark.filterwarnings("ignore")
def test_with_compressai_the_strings_have_the_reported_size():
    torch.manual_seed(0)
    model, images = models.entropic_bottleneck(resnet18(), channels=6), torch.randn(2, 3, 64, 64)
    prior = model.bottleneck_layer.entropy_bottleneck
    optimizer = torch.optim.Adam(model.bottleneck_layer.parameters(), lr=1e-2)
    for _ in range(200):
        _, report = reported(model.bottleneck_layer, images)
        optimizer.zero_grad()
        (1e-4 * report["rate"] + report["quantiles"]).backward()
        optimizer.step()
    coded = check_parts(model.eval(), images)
    _, report = reported(model.bottleneck_layer, images)
    assert coded.num_bytes == pytest.approx(report["bits"].sum().item() / 8, rel=0.1, abs=32)
    assert prior._quantized_cdf.numel() == 0
