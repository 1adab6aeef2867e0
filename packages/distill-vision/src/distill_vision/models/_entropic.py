"""Bottlenecks whose output is entropy-coded: the Entropic Student.

A factorized prior learns the distribution of the encoder's output, channel by channel. Training adds uniform noise in place
of rounding, and the number of bits under the prior is a term of the loss.

Yoshitomo Matsubara, Ruihan Yang, Marco Levorato, Stephan Mandt. "Supervised Compression for Resource-Constrained Edge
Computing Systems." WACV 2022. https://arxiv.org/abs/2108.11898
Johannes Ballé, David Minnen, Saurabh Singh, Sung Jin Hwang, Nick Johnston. "Variational Image Compression with a Scale
Hyperprior." ICLR 2018. https://arxiv.org/abs/1802.01436
"""

from __future__ import annotations

import importlib
import warnings
from collections import OrderedDict
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple, final

from torch import Tensor, nn

from distill_core.errors import DistillError, WiringError

from ._bottleneck import Bottleneck, Coder


class Coded(NamedTuple):
    """An entropy-coded batch: a string per sample, and height and width of the features."""

    strings: list[bytes]
    size: tuple[int, int]

    @property
    def num_bytes(self) -> int:
        """The size of the strings."""
        return sum(len(string) for string in self.strings)


@final
class _Encode(nn.Module):
    """Write (batch, channels, height, width) features as strings."""

    def __init__(self, prior: Any) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, features: Tensor) -> Coded:
        height, width = features.shape[-2:]
        return Coded(self.prior.compress(features), (height, width))


@final
class _Decode(nn.Module):
    """Read the features from strings."""

    def __init__(self, prior: Any) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, coded: Coded) -> Tensor:
        features: Tensor = self.prior.decompress(coded.strings, coded.size)
        return features


@final
class EntropicBottleneck(Bottleneck):
    """A bottleneck whose encoder's output is rounded and entropy-coded.

    A stage taps `report`, a mapping:

    * `bits`: (batch,) number of bits of each sample under the prior, for `distill_vision.metrics.DataSize`;
    * `rate`: their mean, a loss;
    * `quantiles`: the loss of the prior's quantiles, which bound the values that are coded without an escape code. It has
      gradients for the quantiles alone.

    In train mode of the prior noise replaces rounding; a stage that does not train the prior rounds.

    Args:
        encoder: From images to the features to send.
        decoder: From these features to the output of the replaced layers.
        prior: `compressai.entropy_models.EntropyBottleneck`, or a module with its interface.
    """

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential, prior: nn.Module) -> None:
        super().__init__(encoder, decoder)
        self.entropy_bottleneck: Any = prior
        self.report = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width) to (batch, out_channels, smaller height, smaller width)."""
        sent, likelihoods = self.entropy_bottleneck(self.encoder(images))
        bits = -likelihoods.float().log2().flatten(1).sum(1)
        self.report({"bits": bits, "rate": bits.mean(), "quantiles": self.entropy_bottleneck.loss()})
        out: Tensor = self.decoder(sent)
        return out

    def coder(self) -> Coder:
        """Return modules that write the encoder's output as strings and read it again, with tables of the present prior."""
        self.entropy_bottleneck.update(force=True)
        return Coder(_Encode(self.entropy_bottleneck), _Decode(self.entropy_bottleneck))


def _parts() -> tuple[Callable[[int], nn.Module], Callable[..., nn.Module]]:
    """Return CompressAI's factorized prior and its simplified generalized divisive normalization.

    Raises:
        DistillError: The package is not installed.
    """
    if find_spec("compressai") is None:
        message = "`entropic_bottleneck` requires the package compressai, which is not installed"
        raise DistillError(message, hint="see 'Entropic Student' in the README of distill-vision")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own and its requirements' use of torch
        models, layers = (importlib.import_module(f"compressai.{name}") for name in ("entropy_models", "layers"))
    return models.EntropyBottleneck, layers.GDN1


def entropic_bottleneck(model: nn.Module, channels: int = 24) -> nn.Sequential:
    """Return a trained ResNet of torchvision with the Entropic Student's bottleneck in place of the layers up to `layer1`.

    The later layers are the modules of `model`. Requires CompressAI.

    Args:
        model: A ResNet of torchvision.
        channels: Number of channels to send.

    Raises:
        WiringError: It is another model.
        DistillError: The package is not installed.
    """
    from torchvision.models import ResNet

    if not isinstance(model, ResNet):
        message = f"`model` must be a ResNet of torchvision, got {type(model).__name__}"
        raise WiringError(message)
    prior, norm = _parts()
    out = model.layer2[0].conv1.in_channels
    encoder = nn.Sequential(
        nn.Conv2d(3, 4 * channels, kernel_size=5, stride=2, padding=2, bias=False), norm(4 * channels),
        nn.Conv2d(4 * channels, 2 * channels, kernel_size=5, stride=2, padding=2, bias=False), norm(2 * channels),
        nn.Conv2d(2 * channels, channels, kernel_size=2, bias=False),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Conv2d(channels, 2 * out, kernel_size=2, padding=1, bias=False), norm(2 * out, inverse=True),
        nn.Conv2d(2 * out, out, kernel_size=2, bias=False), norm(out, inverse=True),
        nn.Conv2d(out, out, kernel_size=2, padding=1, bias=False),
    )  # fmt: skip
    layers = OrderedDict(
        bottleneck_layer=EntropicBottleneck(encoder, decoder, prior(channels)), layer2=model.layer2,
        layer3=model.layer3, layer4=model.layer4, avgpool=model.avgpool, flatten=nn.Flatten(), fc=model.fc,
    )  # fmt: skip
    return nn.Sequential(layers)
